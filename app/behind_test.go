package app

import (
	"os"
	"path/filepath"
	"testing"

	"mahavishnu/metrics"
	"mahavishnu/storage"
)

// counted is an observer that adds up what dispersed storage is behind with.
type counted struct {
	*metrics.Metrics
	behind int
}

func (c *counted) ShardsBehind(n int) { c.behind += n }

// Shards that did not arrive though their objects were confirmed are counted when the
// storage is closed.
func TestShardsBehindAreCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var members string
	for _, name := range []string{"1", "2", "3", "4"} {
		members += "{local: {enabled: true, path: " + filepath.Join(dir, name) + "}}, "
	}
	cfg := parsed(t, "backup: {storage: {disperse: {enabled: true, data: 2, parity: 2, quorum: 3, storages: ["+members+"]}}}")
	observer := &counted{Metrics: metrics.New("")}
	put := func(name string) {
		t.Helper()
		storages := StoragesOf(cfg, nil, observer)
		be, err := storages.Open(t.Context(), cfg.Place())
		if err != nil {
			t.Fatal(err)
		}
		if err := be.Put(t.Context(), name, []byte("some bytes"), storage.PutOptions{Sync: true}); err != nil {
			t.Fatal(err)
		}
		if err := storages.close(be); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	if observer.behind != 0 {
		t.Errorf("with all storages there: %d shards", observer.behind)
	}
	if err := os.Rename(filepath.Join(dir, "3"), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	put("two")
	if observer.behind != 1 {
		t.Errorf("with one away: %d shards, want 1", observer.behind)
	}
}
