package app

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"mahavishnu/config"
	"mahavishnu/repository"
)

// both removes both objects of a repository's configuration.
func both(t *testing.T, cfg *config.Config) {
	t.Helper()
	dir := cfg.Backup.Replication.Storages["a"].Local.Path
	if err := errors.Join(os.Remove(filepath.Join(dir, "config")), os.Remove(filepath.Join(dir, "config.copy"))); err != nil {
		t.Fatal(err)
	}
}

// A repository that lost its configuration gets it back from a copy that is of it.
func TestConfigIsFetchedFromACopy(t *testing.T) {
	t.Parallel()
	cfg, replicas, pair := pairOf(t)
	if err := copied(t, replicas, pair); err != nil {
		t.Fatal(err)
	}
	access := AccessTo(cfg)
	id, err := opened(t, access)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := access.RecoverConfig(t.Context()); err != nil || done.From != "" {
		t.Errorf("when nothing is lost: %+v, %v", done, err)
	}
	both(t, cfg)
	if _, err := opened(t, access); !errors.Is(err, repository.ErrNotRepository) {
		t.Fatalf("without its configuration: %v", err)
	}
	done, err := access.RecoverConfig(t.Context())
	if err != nil || done.ID != id || done.From == "" {
		t.Fatalf("%+v, %v", done, err)
	}
	if got, err := opened(t, access); err != nil || got != id {
		t.Errorf("afterwards: %s, %v", got, err)
	}

	// What this machine knows, the key ring, and what is left there each refuse another's.
	both(t, cfg)
	if err := access.remember("00112233445566778899aabbccddeeff", access.Location); err != nil {
		t.Fatal(err)
	}
	if done, err := access.RecoverConfig(t.Context()); err == nil || done.From != "" {
		t.Errorf("of a repository that this machine does not know there: %+v, %v", done, err)
	}
	access.DataDir = ""
	dir := cfg.Backup.Replication.Storages["a"].Local.Path
	if err := errors.Join(os.Rename(filepath.Join(dir, "snapshots"), filepath.Join(dir+"-away")), os.RemoveAll(filepath.Join(dir, "index"))); err != nil {
		t.Fatal(err)
	}
	if done, err := access.RecoverConfig(t.Context()); err == nil || done.From != "" {
		t.Errorf("where nothing is left by which to tell: %+v, %v", done, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if done, err := access.RecoverConfig(t.Context()); err != nil || done.From != "" {
		t.Errorf("where nothing is left at all: %+v, %v", done, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "config")); err == nil {
		t.Error("a disk that is not mounted was given a configuration")
	}
}
