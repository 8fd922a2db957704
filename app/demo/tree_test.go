package demo

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// grow makes a tree of n files, one link and one entry that is no file.
func grow(t *testing.T, n int) string {
	t.Helper()
	root := t.TempDir()
	for i := range n {
		path := filepath.Join(root, strconv.Itoa(i%7), strconv.Itoa(i))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte{byte(i)}, i), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestCopyTreeMakesATreeThatMayBeChanged(t *testing.T) {
	const files = 200
	from, to := grow(t, files), filepath.Join(t.TempDir(), "copy")
	s, err := copyTree(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(files * (files - 1) / 2); s.Files != files || s.Bytes != want || s.Skipped != 0 {
		t.Errorf("copied %+v, want %d files of %d bytes", s, files, want)
	}
	if target, err := os.Readlink(filepath.Join(to, "link")); target != "nowhere" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	if _, err := copyTree(t.Context(), filepath.Join(from, "missing"), to); err == nil {
		t.Error("a source that is not there was copied")
	}

	// The originals are read-only, the copies are not.
	first, err := changeTree(to, 1)
	if err != nil {
		t.Fatal(err)
	}
	if first.Edited == 0 || first.Added == 0 {
		t.Errorf("changed %+v, which is not a day's work", first)
	}
	again := filepath.Join(t.TempDir(), "again")
	if _, err := copyTree(t.Context(), from, again); err != nil {
		t.Fatal(err)
	}
	if second, err := changeTree(again, 1); err != nil || second != first {
		t.Errorf("the same seed did %+v, then %+v (%v)", first, second, err)
	}
}

func TestFlipChangesOneBit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pack")
	before := []byte("stored data")
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := flip(path); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	different := 0
	for i := range before {
		if before[i] != after[i] {
			different++
		}
	}
	if different != 1 || len(after) != len(before) {
		t.Errorf("%q became %q", before, after)
	}
	if err := flip(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a file that is not there was flipped")
	}
}
