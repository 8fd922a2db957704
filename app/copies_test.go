package app

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"mahavishnu/config"
	"mahavishnu/messages"
)

// A worker that has never seen a copy goes by what the queue knows of it, and begins none
// in the place of one that is gone.
func TestTheQueueKnowsTheCopy(t *testing.T) {
	t.Parallel()
	cfg, replicas, pair := pairOf(t)
	a := started(t, Options{Config: testConfig(t, ""), Roles: Roles{Scheduler: true}})
	known, err := a.Bus().Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	worker := func() Replicas {
		r := replicas
		r.Known, r.Access.DataDir = known, t.TempDir()
		return r
	}
	if err := copied(t, worker(), pair); err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(filepath.Dir(cfg.Backup.Encryption.KeyPath), "b")
	if err := os.Rename(place, place+"-disk"); err != nil {
		t.Fatal(err)
	}
	first := worker()
	if err := copied(t, first, pair); !errors.Is(err, ErrGone) {
		t.Errorf("a worker that has not seen it: %v", err)
	}
	if _, err := first.Measure(t.Context(), pair); !errors.Is(err, ErrGone) {
		t.Errorf("how far it is behind: %v", err)
	}
	if entries, _ := filepath.Glob(filepath.Join(place, config.ReplicasFolder, "a", "*")); len(entries) > 0 {
		t.Errorf("copied all the same: %v", entries)
	}
	if err := errors.Join(os.RemoveAll(place), os.Rename(place+"-disk", place)); err != nil {
		t.Fatal(err)
	}
	if err := copied(t, worker(), pair); err != nil {
		t.Errorf("with the disk back: %v", err)
	}
	if err := os.RemoveAll(place); err != nil {
		t.Fatal(err)
	}
	anew := worker()
	anew.Anew = true
	if err := errors.Join(copied(t, anew, pair), copied(t, worker(), pair)); err != nil {
		t.Errorf("begun anew: %v", err)
	}
}
