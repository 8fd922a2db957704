package dispersed_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
)

// six is 4+2 over directories that hold an object.
func six(t *testing.T) (l dispersed.Layout) {
	t.Helper()
	dir := t.TempDir()
	l = dispersed.Layout{Data: 4, Parity: 2}
	for i := range 6 {
		l.At = append(l.At, filepath.Join(dir, fmt.Sprint("s", i+1)))
	}
	be, err := storage.Open(t.Context(), l.String())
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, be, "packs/1", noise(1, 50000))
	if err := be.Close(); err != nil {
		t.Fatal(err)
	}
	return l
}

// spoil puts a file in the place of a directory, and returns what takes it away again.
func spoil(t *testing.T, path string) (mend func()) {
	t.Helper()
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
			t.Error(err)
		}
	}
}

// Storages that cannot be opened are away: with as many as may be lost everything is
// read, with fewer written, and they are named. When they can be opened they count again.
func TestStoragesThatCannotBeOpened(t *testing.T) {
	l := six(t)
	mend := spoil(t, l.At[2])
	told := &notices{}
	be, err := storage.OpenWith(t.Context(), l.String(), storage.OpenOptions{OnMember: told.tell})
	if err != nil {
		t.Fatal(err)
	}
	wantData(t, be, "packs/1", noise(1, 50000))
	mustPut(t, be, "packs/2", noise(2, 50000))
	b, _ := dispersed.Of(be)
	if bad, err := b.Examine(t.Context()); err != nil || len(bad) != 1 || bad[0].Storage != 3 || !strings.Contains(bad[0].String(), l.At[2]) {
		t.Errorf("examine: %v, %v", bad, err)
	}
	if err := be.Close(); err != nil {
		t.Fatal(err)
	}
	if got := told.take(); !slices.Equal(got, []string{"3 away"}) {
		t.Errorf("told: %v", got)
	}

	_ = spoil(t, l.At[5])
	if be, err = storage.OpenWith(t.Context(), l.String(), storage.OpenOptions{OnMember: told.tell}); err != nil {
		t.Fatal(err)
	}
	wantData(t, be, "packs/2", noise(2, 50000))
	err = be.Put(t.Context(), "packs/3", nil, storage.PutOptions{})
	if err == nil || !strings.Contains(err.Error(), "storage 3: ") || !strings.Contains(err.Error(), "storage 6: ") {
		t.Errorf("put with two that cannot be opened and a quorum of five: %v", err)
	}
	if err := be.Close(); err != nil {
		t.Fatal(err)
	}
	if got := told.take(); !slices.Equal(got, []string{"3 away", "6 away"}) {
		t.Errorf("told: %v", got)
	}

	_ = spoil(t, l.At[0])
	_, err = storage.Open(t.Context(), l.String())
	for _, part := range []string{"storage 1: ", "storage 3: ", "storage 6: ", "not a directory"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %s", err, part)
		}
	}
	mend()
	if be, err = storage.Open(t.Context(), l.String()); err != nil {
		t.Fatal(err)
	}
	wantData(t, be, "packs/1", noise(1, 50000))
	if err := be.Close(); err != nil {
		t.Fatal(err)
	}
}

// A process that goes on for long finds a storage that can be opened again.
func TestStorageIsOpenedLater(t *testing.T) {
	l := six(t)
	mend := spoil(t, l.At[2])
	synctest.Test(t, func(t *testing.T) {
		be, err := storage.Open(t.Context(), l.String())
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, be, "packs/2", noise(2, 50000))
		mend()
		time.Sleep(2 * time.Minute)
		mustPut(t, be, "packs/3", noise(3, 50000))
		if err := be.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat(filepath.Join(l.At[2], "packs", "3")); err != nil {
		t.Error(err)
	}
}

// What is wrong with how a storage is written down is no reason to go on without it.
func TestMisspeltStorageIsAnError(t *testing.T) {
	l := six(t)
	l.At[1] = "s3://bucket/x?regoin=eu"
	if _, err := storage.Open(t.Context(), l.String()); err == nil || !strings.Contains(err.Error(), "regoin") {
		t.Errorf("%v", err)
	}
}
