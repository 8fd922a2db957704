package main

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// small mounts a file system of so many bytes and returns where.
func small(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts file systems")
	}
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700")
	if errors.Is(err, unix.EPERM) {
		t.Skipf("this root may not mount file systems: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room that a file system has left, to the last block.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1 << 20; n > 0; {
		if _, err := f.Write(make([]byte, n)); errors.Is(err, syscall.ENOSPC) {
			n /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func free(t *testing.T, dir string) uint64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return s.Bavail * uint64(s.Bsize) //nolint:gosec // a size
}

// TestPruneOnAFullFileSystem fills a real file system to the last byte: backups and
// holds fail and say what to do, forgetting and pruning work, and afterwards there is
// room.
func TestPruneOnAFullFileSystem(t *testing.T) {
	disk := small(t, "40m")
	b := bench{T: t, dir: t.TempDir()}
	if _, err := keyring.Create(filepath.Join(b.dir, "ring"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(disk, "repository"), filepath.Join(b.dir, "repository")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(disk, "repository"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name string, n int) {
		t.Helper()
		data := make([]byte, n)
		_, _ = rand.Read(data)
		path := filepath.Join(b.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, tree := t.Context(), filepath.Join(b.dir, "tree")
	for _, name := range []string{"first", "second", "third"} {
		write("tree/each-time-another", 2<<20)
		write("tree/"+name, 1<<20)
		b.run(ctx, exitDone, "backup", tree, "--source", "s")
	}
	write("other/all", 4<<20)
	b.run(ctx, exitDone, "backup", filepath.Join(b.dir, "other"), "--source", "gone")
	fill(t, filepath.Join(disk, "filler"))
	if n := free(t, disk); n != 0 {
		t.Fatalf("%d bytes are free", n)
	}

	write("tree/more", 1<<20)
	for _, args := range [][]string{{"backup", tree, "--source", "s"}, {"hold", "set", "s"}} {
		_, errs := b.run(ctx, exitFailed, args...)
		if !strings.Contains(errs, "no space left") || strings.Count(errs, "make room with `mahavishnu forget` and `mahavishnu prune`") != 1 {
			t.Errorf("%s says:\n%s", args[0], errs)
		}
	}

	repo := b.reopen()
	snaps, bad, err := repo.Snapshots(ctx, "")
	if err != nil || len(bad) > 0 || len(snaps) != 4 {
		t.Fatal(len(snaps), bad, err)
	}
	for _, s := range snaps[:3] { // ordered by source and time: all but the last of s
		fill(t, filepath.Join(disk, "filler"))
		if err := repo.Forget(ctx, s); err != nil {
			t.Fatalf("forgetting: %v", err)
		}
	}
	fill(t, filepath.Join(disk, "filler"))
	out, errs := b.run(ctx, exitDone, "prune", "--max-unused", "0")
	if !strings.Contains(out, "nothing is left to remove") {
		t.Errorf("prune says:\n%s%s", out, errs)
	}
	if n := free(t, disk); n < 8<<20 {
		t.Errorf("%d bytes are free afterwards", n)
	}
	b.run(ctx, exitDone, "verify", "--read-data", "100")
	b.run(ctx, exitDone, "backup", tree, "--source", "s")
	if info, err := os.Stat(filepath.Join(disk, "repository", "gc", "reserve")); err != nil || info.Size() != 2<<20 {
		t.Errorf("the reserve: %v, %v", info, err)
	}
}

// reopen opens the bench's repository as the program does.
func (b bench) reopen() *repository.Repository {
	b.Helper()
	ring, err := keyring.Load(filepath.Join(b.dir, "ring"))
	if err != nil {
		b.Fatal(err)
	}
	be, err := storage.Open(b.Context(), filepath.Join(b.dir, "repository"))
	if err != nil {
		b.Fatal(err)
	}
	repo, err := repository.Open(b.Context(), be, ring, repository.OpenOptions{Reserve: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(repo.Close(), be.Close()); err != nil {
			b.Error(err)
		}
	})
	return repo
}
