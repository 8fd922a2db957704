package garbage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
	"mahavishnu/storage"
)

func TestMeasure(t *testing.T) {
	dir, store := t.TempDir(), t.TempDir()
	be, err := storage.Open(t.Context(), "file://"+store)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	ring := keyring.Generate(time.Now())
	repo, err := repository.Create(t.Context(), be, ring, repository.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	backup := func() repository.Snapshot {
		t.Helper()
		r, err := snapshot.Backup(t.Context(), repo, snapshot.BackupOptions{Source: "s", Path: dir})
		if err != nil {
			t.Fatal(err)
		}
		return r.Snapshot
	}
	forget := func(s repository.Snapshot) {
		t.Helper()
		if err := repo.DeleteSnapshot(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	measure := func() Report {
		t.Helper()
		r, err := Measure(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	write("kept/same", "in both")
	write("gone", strings.Repeat("only in the first ", 10_000))
	first := backup()
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	write("new", "only in the second")
	second := backup()
	if r := measure(); r.Snapshots != 2 || r.UnusedBlobs != 0 || r.UnusedPacks != 0 || r.UnindexedPacks != 0 || r.Packs == 0 || len(r.Unread) != 0 {
		t.Errorf("nothing is garbage yet: %+v", r)
	}

	forget(first)
	// Of the first: the content of "gone", the root's entries, the root.
	if r := measure(); r.UnusedBlobs != 3 || r.UnusedBytes == 0 || r.UnusedBytes >= r.PackBytes {
		t.Errorf("after the first was forgotten: %+v", r)
	}

	forget(second)
	total := int64(0)
	repo.EachBlob(func(repository.ID, repository.Location) bool { total++; return true })
	if r := measure(); r.UnusedBlobs != total || r.UnusedPacks != r.Packs || r.UnusedPackBytes != r.PackBytes {
		t.Errorf("after both were forgotten: %+v, of %d blobs", r, total)
	}
}

// TestMeasureTellsWhatItCannotRead takes a tree pack away: what hangs below it
// must not pass for garbage in silence.
func TestMeasureTellsWhatItCannotRead(t *testing.T) {
	dir, store := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	be, err := storage.Open(t.Context(), "file://"+store)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	repo, err := repository.Create(t.Context(), be, keyring.Generate(time.Now()), repository.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	if _, err := snapshot.Backup(t.Context(), repo, snapshot.BackupOptions{Source: "s", Path: dir}); err != nil {
		t.Fatal(err)
	}
	// A snapshot that is read from its second copy hides nothing.
	if err := os.RemoveAll(filepath.Join(store, "snapshots")); err != nil {
		t.Fatal(err)
	}
	if r, err := Measure(t.Context(), repo); err != nil || len(r.Unread) != 0 || r.Snapshots != 1 || r.UnusedBlobs != 0 {
		t.Errorf("without the first copy of the snapshot: %+v, %v", r, err)
	}
	if err := os.RemoveAll(filepath.Join(store, "packs")); err != nil {
		t.Fatal(err)
	}
	if r, err := Measure(t.Context(), repo); err != nil || len(r.Unread) != 1 {
		t.Errorf("without packs: %+v, %v", r, err)
	}
}
