package torturetest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Same fails the test unless rsync, comparing every byte and all metadata,
// finds nothing to do in either direction, and sparse files have the same runs
// of data. rsync is kept from paths beyond PATH_MAX, where it cannot go, and
// from the sparse files unless the torture is full: it reads every zero of them.
func Same(tb testing.TB, a, b string) {
	tb.Helper()
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		tb.Fatalf("this test needs rsync: %v", err)
	}
	args := []string{"-aHAXn", "--checksum", "--delete", "-i", "--exclude=/" + Deep}
	if !Full() {
		args = append(args, "--exclude=/sparse/*")
	}
	for _, dir := range [][2]string{{a, b}, {b, a}} {
		cmd := exec.CommandContext(tb.Context(), rsync, append(args, dir[0]+"/", dir[1]+"/")...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			tb.Fatalf("rsync: %v\n%s", err, out)
		}
		if len(out) > 0 {
			tb.Errorf("rsync would change:\n%s", out)
		}
	}
	sparse, err := filepath.Glob(a + "/sparse/*")
	if err != nil || len(sparse) == 0 {
		tb.Fatalf("no sparse files in %s: %v", a, err)
	}
	for _, path := range sparse {
		if err := sameRuns(path, b+"/sparse/"+filepath.Base(path)); err != nil {
			tb.Error(err)
		}
	}
}

// sameRuns compares two files by their runs of data, and these byte by byte.
func sameRuns(a, b string) error {
	fa, err := os.Open(a)
	if err != nil {
		return err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return err
	}
	defer fb.Close()
	infoA, err := fa.Stat()
	if err != nil {
		return err
	}
	infoB, err := fb.Stat()
	if err != nil {
		return err
	}
	if infoA.Size() != infoB.Size() || infoA.ModTime() != infoB.ModTime() || infoA.Mode() != infoB.Mode() {
		return fmt.Errorf("%s: %d bytes, %v; %s: %d bytes, %v", a, infoA.Size(), infoA.ModTime(), b, infoB.Size(), infoB.ModTime())
	}
	for end := int64(0); end < infoA.Size(); {
		startA, endA := run(fa, end, infoA.Size())
		startB, endB := run(fb, end, infoA.Size())
		if startA != startB || endA != endB {
			return fmt.Errorf("%s has data at %d-%d, %s at %d-%d", a, startA, endA, b, startB, endB)
		}
		da, db := make([]byte, endA-startA), make([]byte, endA-startA)
		if _, err := io.ReadFull(io.NewSectionReader(fa, startA, endA-startA), da); err != nil {
			return err
		}
		if _, err := io.ReadFull(io.NewSectionReader(fb, startA, endA-startA), db); err != nil {
			return err
		}
		if !bytes.Equal(da, db) {
			return fmt.Errorf("%s and %s differ in the data at %d", a, b, startA)
		}
		end = endA
	}
	return nil
}

// run is the next run of data; at the end it is empty.
func run(f *os.File, off, size int64) (start, end int64) {
	start, err := f.Seek(off, unix.SEEK_DATA)
	if err != nil {
		return size, size
	}
	end, err = f.Seek(start, unix.SEEK_HOLE)
	if err != nil {
		return start, size
	}
	return start, end
}
