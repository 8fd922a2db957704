package local_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/storage"
	"mahavishnu/storage/local"
	"mahavishnu/storage/storagetest"
	"mahavishnu/usertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, dir string) storage.Backend {
	t.Helper()
	be, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return be
}

func TestConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Backend { return open(t, filepath.Join(t.TempDir(), "not", "yet")) })
}

func TestOpenCreatesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	be := open(t, dir)
	if err := be.List(t.Context(), "", func(storage.Info) error { return nil }); err != nil {
		t.Errorf("List of a place that is not there: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening created %s", dir)
	}
}

func TestOpenRefusesAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Open(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open of a file = %v, want an error that names it", err)
	}
	if _, err := local.Open(""); err == nil {
		t.Error("Open of no path succeeded")
	}
}

// Files that are not objects are nobody's business here.
func TestListSkipsStrangers(t *testing.T) {
	dir := t.TempDir()
	be := open(t, dir)
	if err := be.Put(t.Context(), "a/b", []byte("x"), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".hidden", "a/with space", "a/b~"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var names []string
	err := be.List(t.Context(), "", func(i storage.Info) error { names = append(names, i.Name); return nil })
	if err != nil || len(names) != 1 || names[0] != "a/b" {
		t.Errorf("List = %q, %v; want a/b alone", names, err)
	}
}

// A writer that died leaves a file in .tmp: no object, and swept when old.
func TestStaleTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	temp := filepath.Join(dir, ".tmp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	old, young := filepath.Join(temp, "put-1"), filepath.Join(temp, "put-2")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("half an obj"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	be := open(t, dir)
	if err := be.Put(t.Context(), "a", []byte("x"), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file a day old was not swept")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("a file that may be in use was swept")
	}
	entries, err := os.ReadDir(temp)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files in .tmp (%v), want the young one alone", len(entries), err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	be := open(t, dir)
	if err := be.Put(t.Context(), "a/b", nil, storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{"": 0o700, "a": 0o700, "a/b": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %q = %v (%v), want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestReadOnlyPlace(t *testing.T) { usertest.Run(t, readOnlyPlace) }

func readOnlyPlace(t *testing.T) {
	dir := t.TempDir()
	be := open(t, dir)
	if err := be.Put(t.Context(), "a", []byte("x"), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{filepath.Join(dir, ".tmp"), dir} {
		if err := os.Chmod(d, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(d, 0o700) })
	}
	err := be.Put(t.Context(), "b", nil, storage.PutOptions{})
	var e *storage.Error
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("Put = %v, want a permission error with a hint", err)
	}
	if _, err := storage.ReadAll(context.Background(), be, "a", 10, nil); err != nil {
		t.Errorf("reading needs no right to write: %v", err)
	}
}

func BenchmarkPut(b *testing.B) {
	data := make([]byte, 32<<20)
	be := open(b, b.TempDir())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := be.Put(b.Context(), "packs/00/a", data, storage.PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
