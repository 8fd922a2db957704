package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/repository"
)

// TestNoRepositoryIsMadeWhereADiskIsMissing takes the storage away, as an
// unmounted disk does: the next backup must not start afresh in its place.
func TestNoRepositoryIsMadeWhereADiskIsMissing(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, "")
	access := AccessTo(cfg)
	access.Create = true
	open := func() (id string, err error) {
		o, err := access.Open(t.Context())
		if err != nil {
			return "", err
		}
		return o.ID(), o.Close()
	}
	first, err := open()
	if err != nil {
		t.Fatal(err)
	}
	place := cfg.Backup.Storage.Local.Path
	disk := place + ".disk"
	if err := os.Rename(place, disk); err != nil {
		t.Fatal(err)
	}
	for _, mountPoint := range []bool{false, true} {
		if mountPoint {
			if err := os.MkdirAll(place, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := open(); !errors.Is(err, repository.ErrNotRepository) || !strings.Contains(err.Error(), first) {
			t.Fatalf("with the disk away (mount point: %v): %v", mountPoint, err)
		}
	}
	if err := errors.Join(os.RemoveAll(place), os.Rename(disk, place)); err != nil {
		t.Fatal(err)
	}
	if again, err := open(); err != nil || again != first {
		t.Fatalf("with the disk back: %s, %v", again, err)
	}
	// A person who means it can start anew, here or elsewhere.
	if err := errors.Join(os.RemoveAll(place), os.Remove(filepath.Join(cfg.Node.DataDir, knownFile))); err != nil {
		t.Fatal(err)
	}
	if second, err := open(); err != nil || second == first {
		t.Errorf("started anew: %s, %v", second, err)
	}
	access.Location = place + "-elsewhere"
	if _, err := open(); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
}
