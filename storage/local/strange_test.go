//go:build unix

package local_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mahavishnu/fault"
	"mahavishnu/storage"
	"mahavishnu/usertest"
)

func names(t *testing.T, be storage.Backend, prefix string) ([]string, error) {
	t.Helper()
	var all []string
	err := be.List(t.Context(), prefix, func(i storage.Info) error { all = append(all, i.Name); return nil })
	slices.Sort(all)
	return all, err
}

func mustPut(t *testing.T, be storage.Backend, objects ...string) {
	t.Helper()
	for _, name := range objects {
		if err := be.Put(t.Context(), name, []byte(name), storage.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// A closed directory hides what is in it and nothing else, and the error says who
// lacks access to what.
func TestAClosedDirectoryHidesOnlyItself(t *testing.T) { usertest.Run(t, aClosedDirectory) }

func aClosedDirectory(t *testing.T) {
	dir := t.TempDir()
	be := open(t, dir)
	mustPut(t, be, "a/1", "b/2", "b/deep/3", "c/4")
	closed := filepath.Join(dir, "b")
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) })
	all, err := names(t, be, "")
	if want := []string{"a/1", "c/4"}; !slices.Equal(all, want) {
		t.Errorf("listed %q, want %q", all, want)
	}
	failed := (*storage.Error)(nil)
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &failed) || failed.Object != "b/" {
		t.Errorf("List = %v, want a permission error about b/", err)
	}
	_, inside := be.Stat(t.Context(), "b/deep/3")
	for _, err := range []error{err, inside} {
		hints := fault.Hints(err)
		if len(hints) != 1 || !strings.Contains(hints[0], "access to "+closed+",") || !strings.Contains(hints[0], "the user ") {
			t.Errorf("hints %q, want one that names the user and %s", hints, closed)
		}
	}
}

// What fn returns ends the listing, whatever could not be looked at before.
func TestAnErrorOfTheCallerEndsAListing(t *testing.T) { usertest.Run(t, anErrorOfTheCaller) }

func anErrorOfTheCaller(t *testing.T) {
	dir := t.TempDir()
	be := open(t, dir)
	mustPut(t, be, "a/1", "b/2")
	if err := os.Chmod(filepath.Join(dir, "a"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "a"), 0o700) })
	stop := errors.New("enough")
	if err := be.List(t.Context(), "", func(storage.Info) error { return stop }); err != stop { //nolint:errorlint // as it is
		t.Errorf("List = %v, want %v itself", err, stop)
	}
}

// A directory that lies under an object's name gives way, and stays somewhere.
func TestADirectoryUnderAnObjectsName(t *testing.T) {
	for what, o := range map[string]storage.PutOptions{"replace": {}, "if absent": {IfAbsent: true, Sync: true}} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			be := open(t, dir)
			if err := os.MkdirAll(filepath.Join(dir, "a", "b", "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "a", "b", "mine"), []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := be.Delete(t.Context(), "a/b"); err != nil {
				t.Errorf("Delete of what is no object: %v", err)
			}
			if err := be.Put(t.Context(), "a/b", []byte("object"), o); err != nil {
				t.Fatal(err)
			}
			got, err := storage.ReadAll(t.Context(), be, "a/b", 100, nil)
			if err != nil || !bytes.Equal(got, []byte("object")) {
				t.Errorf("read %q, %v", got, err)
			}
			kept, err := filepath.Glob(filepath.Join(dir, ".aside", "b-*", "mine"))
			if err != nil || len(kept) != 1 {
				t.Errorf("what lay there is kept in %q (%v)", kept, err)
			}
			if all, err := names(t, be, ""); err != nil || !slices.Equal(all, []string{"a/b"}) {
				t.Errorf("listed %q, %v", all, err)
			}
			if err := be.Put(t.Context(), "a/b", nil, storage.PutOptions{IfAbsent: true}); !errors.Is(err, storage.ErrExists) {
				t.Errorf("a second put = %v", err)
			}
		})
	}
}

// Whatever else lies under an object's name is no object, and a conditional put
// says so instead of taking it for one.
func TestAFIFOUnderAnObjectsName(t *testing.T) {
	dir := t.TempDir()
	be := open(t, dir)
	path := filepath.Join(dir, "a")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	err := be.Put(t.Context(), "a", nil, storage.PutOptions{IfAbsent: true})
	if err == nil || errors.Is(err, storage.ErrExists) || !slices.Contains(fault.Hints(err), "move "+path+" away") {
		t.Errorf("Put = %v, hints %q", err, fault.Hints(err))
	}
	if err := be.Put(t.Context(), "a", []byte("x"), storage.PutOptions{}); err != nil {
		t.Errorf("replacing it: %v", err)
	}
}
