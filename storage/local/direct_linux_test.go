package local

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"mahavishnu/storage/backend"
)

// aligned returns random bytes that begin shift bytes behind a block in memory.
func aligned(t *testing.T, shift, n int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, shift+n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	_, _ = rand.Read(b)
	return b[shift:]
}

func TestLargeObjectsComeBackWhateverWayTheyWent(t *testing.T) {
	be, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, shift := range []int{0, 1, 512} {
		for _, size := range []int{largeFrom - 1, largeFrom, largeFrom + 1, largeFrom + directAlign - 1, largeFrom + directAlign, 5*largeFrom + 77} {
			name := fmt.Sprintf("packs/%d-%d", shift, size)
			data := aligned(t, shift, size)
			for _, o := range []backend.PutOptions{{}, {IfAbsent: true, Sync: true}} {
				if o.IfAbsent {
					name += "-new"
				}
				if err := be.Put(t.Context(), name, data, o); err != nil {
					t.Fatal(err)
				}
				r, err := be.Get(t.Context(), name, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err != nil || r.Close() != nil || !bytes.Equal(got, data) {
					t.Errorf("%s: %d bytes come back, %v", name, len(got), err)
				}
			}
		}
	}
}

// What can be written past the cache is: by the flag, where a file system takes
// it at all.
func TestWholeBlocksGoPastTheCache(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Open(filepath.Join(dir, "probe"), unix.O_CREAT|unix.O_WRONLY|unix.O_DIRECT, 0o600)
	direct := err == nil
	if direct {
		_ = unix.Close(fd)
	}
	for _, test := range []struct{ shift, size, want int }{
		{0, largeFrom, largeFrom},
		{0, largeFrom + 100, largeFrom},
		{8, largeFrom, 0},
		{0, directAlign - 1, 0},
	} {
		f, err := os.CreateTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		if !direct {
			test.want = 0
		}
		if n, err := writeDirect(f, aligned(t, test.shift, test.size)); n != test.want || err != nil {
			t.Errorf("%+v: wrote %d directly, %v", test, n, err)
		}
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_DIRECT != 0 {
			t.Errorf("%+v: the file is left with flags %#x, %v", test, flags, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAFailingDirectWriteIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path) // not for writing
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := write(f, aligned(t, 0, largeFrom)); err == nil {
		t.Error("a file that cannot be written was written")
	}
}
