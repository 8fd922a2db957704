package replication

import (
	"context"
	"strings"
	"testing"
	"time"

	"mahavishnu/repository"
)

// bereft is a world whose primary lost a snapshot, and its data by a prune after
// that, both of which a replica still has.
func bereft(t *testing.T) (w *world, object string) {
	t.Helper()
	w = newWorld(t)
	w.write("a", 200_000)
	first := w.backup(w.from)
	w.write("a", 1000)
	w.backup(w.from)
	w.replicate()
	for name := range w.from.Objects() {
		if strings.Contains(name, first) {
			object = strings.TrimPrefix(name, copyPrefix)
			w.from.Set(name, nil)
		}
	}
	if object == "" {
		t.Fatal("the primary does not have the snapshot")
	}
	return w, object
}

// A snapshot that nobody forgot was lost, however long ago, and the replica's is what is
// left of it.
func TestLostSnapshotsStay(t *testing.T) {
	for name, prune := range map[string]bool{"with its data": false, "and its data is collected": true} {
		t.Run(name, func(t *testing.T) {
			w, object := bereft(t)
			w.replicate()
			if prune {
				w.prune(w.from)
			}
			for range 3 {
				w.clock.ahead += 1000 * time.Hour
				r := w.replicate()
				if r.LostTotal != 1 || r.Lost[0] != object || r.Deleted != 0 || !r.Finished {
					t.Errorf("%+v", r)
				}
			}
			if n := w.restores(w.to); n != 2 {
				t.Errorf("the replica restores %d snapshots, want 2", n)
			}
			lag, err := Measure(t.Context(), w.from, w.to)
			if err != nil || lag.Lost != 1 {
				t.Errorf("%+v, %v", lag, err)
			}
		})
	}
}

// What is lost goes when the loss was accepted, or by force.
func TestLostSnapshotsAreLetGo(t *testing.T) {
	for name, c := range map[string]struct {
		accept func(*world, string)
		change func(*Options)
	}{
		"a note comes later": {accept: func(w *world, object string) {
			w.must(repository.NoteGone(context.Background(), w.from, object, w.clock.Now()))
		}},
		"by force": {change: func(o *Options) { o.Force = true }},
	} {
		t.Run(name, func(t *testing.T) {
			w, object := bereft(t)
			w.replicate()
			if c.accept != nil {
				c.accept(w, object)
			}
			if c.change != nil {
				w.replicate(c.change)
			}
			w.clock.ahead += 2 * time.Hour
			if r := w.replicate(); r.LostTotal != 0 || r.Deleted == 0 || w.restores(w.to) != 1 {
				t.Errorf("%+v", r)
			}
			told := false
			w.must(repository.EachGone(t.Context(), w.to, func(name, _ string) { told = told || name == object }))
			if !told {
				t.Error("a replica of this replica would take the snapshot for lost")
			}
		})
	}
}

// A snapshot that is lost, comes back to the primary from the replica.
func TestLostSnapshotsComeBack(t *testing.T) {
	w, object := bereft(t)
	w.replicate()
	w.prune(w.from)
	w.replicate()
	for name, data := range w.to.Objects() {
		if classOf(name) != classNone && w.from.Objects()[name] == nil {
			w.from.Set(name, data)
		}
	}
	if w.restores(w.from) != 2 {
		t.Errorf("%s did not come back", object)
	}
	if r := w.replicate(); r.LostTotal != 0 || r.Pending != 0 {
		t.Errorf("%+v", r)
	}
}

// Notes of what was forgotten while a storage was the primary say nothing about what it
// received afterwards.
func TestNotesOfAnotherTime(t *testing.T) {
	w := newWorld(t)
	w.write("a", 1000)
	first := w.backup(w.from)
	w.backup(w.from)
	w.replicate()
	w.within(w.from, func(repo *repository.Repository) error {
		s, err := repo.FindSnapshot(t.Context(), first)
		if err != nil {
			return err
		}
		return repo.DeleteSnapshot(t.Context(), s)
	})
	_, demoted, err := Promote(t.Context(), PromoteOptions{Replica: w.to, Primary: w.from, Clock: w.clock})
	w.must(err)
	w.must(demoted)
	w.replicate(func(o *Options) { o.From, o.To = w.to, w.from })
	if w.restores(w.from) != 2 {
		t.Fatal("the snapshot did not come back")
	}
	w.must(repository.EachGone(t.Context(), w.from, func(name, _ string) { t.Errorf("a note of %s is left", name) }))
}
