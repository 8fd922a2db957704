package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/replication"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// A copy without room for everything shows the older snapshot, where this node has the key.
func TestACopyThatIsTooSmallShowsWhatFits(t *testing.T) {
	t.Parallel()
	cfg, replicas, pair := pairOf(t)
	each := func(region string, fn func(path string) error) (n int) {
		t.Helper()
		err := filepath.WalkDir(filepath.Join(cfg.Backup.Replication.Storages[region].Local.Path), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.Contains(path, string(filepath.Separator)+"packs"+string(filepath.Separator)) {
				n++
				err = fn(path)
			}
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return n
	}
	packs := func(region string) int { return each(region, func(string) error { return nil }) }
	before := time.Now().Add(-time.Hour)
	first := each("a", func(path string) error { return os.Chtimes(path, before, before) })
	if err := os.WriteFile(filepath.Join(cfg.Sources["home"].Path, "newer"), []byte(strings.Repeat("newer", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := backUp(t, cfg, cfg.Place()); err != nil {
		t.Fatal(err)
	}
	if packs("a") <= first {
		t.Fatal("the second backup stored nothing")
	}
	for _, c := range []struct {
		key   bool
		shown int
	}{{false, 0}, {true, 1}} {
		ends, err := replicas.Replica(t.Context(), pair.Primary, pair.Secondary)
		if err != nil {
			t.Fatal(err)
		}
		to := faults.Wrap(ends.To)
		to.On(faults.Put).Under("packs/").After(first - packs("b")).Times(-1).Fail(storage.ErrFull)
		o := replication.Options{From: ends.From, To: to, Parallel: 1}
		if c.key {
			o.Know = ends.Know
		}
		r, err := replication.Run(t.Context(), o)
		if !errors.Is(err, storage.ErrFull) || r.Snapshots != c.shown {
			t.Errorf("with the key %v: %+v, %v", c.key, r, err)
		}
		if err := ends.Close(); err != nil {
			t.Error(err)
		}
	}
	place, _ := cfg.ReplicaPlace("a", "b")
	access := AccessTo(cfg)
	access.Location = place.URL
	repo, err := access.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	if all, damaged, err := repo.Snapshots(t.Context(), ""); err != nil || len(all) != 1 || len(damaged) > 0 {
		t.Errorf("the copy shows %d snapshots, %v, %v", len(all), damaged, err)
	}
}
