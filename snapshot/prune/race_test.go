package prune_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage/faults"
)

// copyOf is a world that goes on from another.
func (w *world) copyOf(t testing.TB) *world {
	next := *w
	next.t, next.disk, next.want = t, w.disk.Clone(), maps.Clone(w.want)
	return &next
}

// found makes the snapshot of a job one that must restore, if it is there, and
// reports whether it is.
func (w *world) found(job string, files map[string]string) bool {
	w.t.Helper()
	snaps, _, err := w.open(w.disk).Snapshots(context.Background(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range snaps {
		if s.Job == job {
			w.want[s.ID] = files
			return true
		}
	}
	return false
}

// reusing is a world whose next backup reuses what only a forgotten snapshot
// had.
func reusing(t testing.TB) *world {
	w := newWorld(t)
	w.write("kept", content(1, 30_000))
	w.write("comes/back", content(2, 50_000))
	first := w.backup()
	w.remove("comes")
	w.backup()
	w.forget(first)
	w.write("comes/back", content(2, 50_000))
	w.write("fresh", content(3, 20_000))
	return w
}

// meet runs a backup, and at each of its operations on the storage something
// else, to its end. after says what must be true then.
func meet(t *testing.T, during func(*world), after func(w *world, met, committed bool, err error)) {
	start := reusing(t)
	for _, op := range []faults.Op{faults.Put, faults.Get, faults.List, faults.Stat, faults.Sync} {
		t.Run(string(op), func(t *testing.T) {
			for n, met := 0, true; met; n++ {
				w := start.copyOf(t)
				stage := faults.Wrap(w.disk)
				repo, o := w.open(stage), w.options()
				met = false
				stage.On(op).After(n).Do(func(string) { met = true; during(w) })
				r, err := snapshot.Backup(t.Context(), repo, o)
				if err == nil && r.Snapshot.Job != o.Job {
					t.Fatalf("committed %+v", r.Snapshot)
				}
				committed := w.found(o.Job, w.files(w.dir))
				if err == nil && !committed && !w.forgot {
					t.Fatalf("a confirmed snapshot is not there (%s %d)", op, n)
				}
				w.whole()
				after(w, met, committed, err)
				w.prune(patient())
				w.whole()
				w.tidy("gc/forgotten/")
				if t.Failed() {
					t.Fatalf("they met at %s number %d", op, n)
				}
			}
		})
	}
}

// A backup whose blobs are in packs that are condemned while it runs loses
// nothing and need not be done again.
func TestBackupMeetsPrune(t *testing.T) {
	meet(t, func(w *world) {
		w.prune(prune.Options{})
	}, func(w *world, met, committed bool, err error) {
		if err != nil {
			w.t.Errorf("the backup failed: %v", err)
		}
	})
}

// A backup that stalls anywhere for so long that it is taken for dead, while
// what it reuses goes, publishes nothing that does not restore.
func TestBackupStalls(t *testing.T) {
	fenced, late := 0, 0
	meet(t, func(w *world) {
		w.prune(patient())
		w.prune(patient())
	}, func(w *world, met, committed bool, err error) {
		switch {
		case errors.Is(err, repository.ErrFenced):
			fenced++
		case err != nil:
			w.t.Errorf("the backup failed: %v", err)
		case met:
			late++
		}
	})
	if fenced == 0 || late == 0 {
		t.Errorf("%d backups were fenced, %d committed all the same: want some of both", fenced, late)
	}
}

// A backup that stalls in the middle of its commit, is finished by a prune, has
// its snapshot forgotten and its data removed, and goes on then, brings nothing
// back.
func TestForgottenWhileStalled(t *testing.T) {
	meet(t, func(w *world) {
		w.prune(patient())
		snaps, _, err := w.open(w.disk).Snapshots(context.Background(), "")
		if err != nil {
			w.t.Fatal(err)
		}
		for _, s := range snaps {
			if s.Job == "job-3" {
				w.forget(s)
				w.forgot = true
			}
		}
		w.prune(patient())
		w.prune(patient())
	}, func(w *world, met, committed bool, err error) {
		if err != nil && !errors.Is(err, repository.ErrFenced) && !errors.Is(err, repository.ErrForgotten) {
			w.t.Errorf("the backup failed: %v", err)
		}
	})
}

// Without the permission to delete, backups work as ever.
func TestWritersDeleteNothing(t *testing.T) {
	w := reusing(t)
	strict := faults.Wrap(w.disk)
	strict.On(faults.Delete).Times(-1).Fail(errStopped)
	if _, err := snapshot.Backup(t.Context(), w.open(strict), w.options()); err != nil {
		t.Fatal(err)
	}
	if !w.found("job-3", w.files(w.dir)) {
		t.Fatal("no snapshot")
	}
	w.prune(prune.Options{})
	w.whole()
	w.tidy()
}
