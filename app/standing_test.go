package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/config"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/storage"
)

// pairOf is a repository of region a with one snapshot, and its copy in b.
func pairOf(t *testing.T) (cfg *config.Config, replicas Replicas, pair config.RegionPair) {
	t.Helper()
	cfg = testConfig(t, "")
	dir := filepath.Dir(cfg.Backup.Encryption.KeyPath)
	text := `
backup:
  encryption: {key_path: key}
  replication:
    enabled: true
    regions: [{primary: a, secondary: b}]
    storages: {a: {local: {enabled: true, path: a}}, b: {local: {enabled: true, path: b}}}
regions: [a, b]
sources: {home: {path: home, region: a}}
node: {name: n1, region: a, data_dir: data}
`
	path := filepath.Join(dir, "two.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := backUp(t, cfg, cfg.Place()); err != nil {
		t.Fatal(err)
	}
	pair = config.RegionPair{Primary: "a", Secondary: "b"}
	access := AccessTo(cfg)
	replicas = Replicas{Config: func() *config.Config { return cfg }, Storage: access.Storage, Access: access}
	return cfg, replicas, pair
}

// backUp stores a snapshot of the source as a worker would.
func backUp(t *testing.T, cfg *config.Config, location string) (err error) {
	t.Helper()
	access := AccessTo(cfg)
	access.Location, access.Write, access.Create = location, true, true
	repo, err := access.Open(t.Context())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	_, err = snapshot.Backup(t.Context(), repo.Repository, snapshot.BackupOptions{Source: "home", Path: cfg.Sources["home"].Path})
	return err
}

// copied copies as a job would.
func copied(t *testing.T, replicas Replicas, pair config.RegionPair) error {
	t.Helper()
	ends, err := replicas.Replica(t.Context(), pair.Primary, pair.Secondary)
	if err != nil {
		return err
	}
	release, err := ends.Hold(t.Context())
	if err == nil {
		_, err = replication.Run(t.Context(), replication.Options{From: ends.From, To: ends.To})
		err = errors.Join(err, release(t.Context()))
	}
	return errors.Join(err, ends.Close())
}

func TestACopyIsOnlyRead(t *testing.T) {
	t.Parallel()
	cfg, replicas, pair := pairOf(t)
	if err := copied(t, replicas, pair); err != nil {
		t.Fatal(err)
	}
	place, _ := cfg.ReplicaPlace("a", "b")
	access := AccessTo(cfg)
	access.Location = place.URL
	repo, err := access.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	all, _, err := repo.Snapshots(t.Context(), "")
	if err != nil || len(all) != 1 {
		t.Fatalf("%d snapshots, %v", len(all), err)
	}
	be := repo.Backend()
	for _, name := range []string{"snapshots/home/x", "packs/00/x", "gc/condemned/x", "copies/ledger/bad-1", "ledger/bad-1", "replication/epochs/9"} {
		if err := be.Put(t.Context(), name, []byte("x"), storage.PutOptions{}); !errors.Is(err, storage.ErrReadOnly) || !errors.Is(err, replication.ErrReplica) {
			t.Errorf("put %s: %v", name, err)
		}
		if err := be.Delete(t.Context(), name); !errors.Is(err, storage.ErrReadOnly) {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	for _, name := range []string{"ledger/one", "copies/ledger/one", "gc/sessions/one"} {
		if err := errors.Join(be.Put(t.Context(), name, []byte("x"), storage.PutOptions{}), be.Delete(t.Context(), name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := repo.Pin(t.Context(), all[0], repository.Keep{Reason: "test"}); err == nil {
		t.Error("a snapshot of a copy was pinned")
	}
	if err := backUp(t, cfg, place.URL); !errors.Is(err, replication.ErrReplica) {
		t.Errorf("backup into a copy: %v", err)
	}
}

func TestABackupNoticesThatACopyWasPromoted(t *testing.T) {
	t.Parallel()
	cfg, replicas, pair := pairOf(t)
	if err := copied(t, replicas, pair); err != nil {
		t.Fatal(err)
	}
	if err := backUp(t, cfg, cfg.Place()); err != nil {
		t.Fatalf("with a copy that is one: %v", err)
	}
	primary, replica, err := replicas.Ends(t.Context(), pair)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll([]storage.Backend{primary, replica}) //nolint:errcheck // they were only looked at
	if _, _, err := replication.Promote(t.Context(), replication.PromoteOptions{Replica: replica}); err != nil {
		t.Fatal(err)
	}
	if err := backUp(t, cfg, cfg.Place()); !errors.Is(err, replication.ErrReplaced) {
		t.Errorf("backup into a primary that was replaced: %v", err)
	}
	// It has been told by now, and needs nobody to ask any more.
	if standing, err := replication.RoleOf(t.Context(), primary); err != nil || standing.Role != replication.Replica {
		t.Errorf("the old primary counts as %+v, %v", standing, err)
	}
}

func TestPairsThatAreNone(t *testing.T) {
	t.Parallel()
	_, replicas, _ := pairOf(t)
	if _, err := replicas.Replica(t.Context(), "b", "a"); err == nil || !strings.Contains(err.Error(), "does not copy region \"b\"") {
		t.Errorf("a pair that is not configured: %v", err)
	}
}
