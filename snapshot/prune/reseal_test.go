package prune_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// old counts what is sealed with other versions of the key than the current one.
func (w *world) old() (n int) {
	w.t.Helper()
	repo := w.open(w.disk)
	uses, err := repo.KeyUses(w.t.Context())
	if err != nil || len(uses.Unknown) > 0 {
		w.t.Fatalf("key uses %+v, %v", uses, err)
	}
	for version, use := range uses.Versions {
		if version != repo.KeyVersion() {
			n += use.Packs + use.Objects
		}
	}
	return n
}

// TestReseal leaves nothing that an older version of the key has sealed, wherever
// it is interrupted.
func TestReseal(t *testing.T) {
	start := newWorld(t)
	start.write("a", content(1, 40_000))
	start.backup()
	start.write("dir/b", content(2, 30_000))
	start.backup()
	start.ring = start.ring.Rotated(time.Now())
	start.write("c", content(3, 10_000))
	snap := start.backup()
	if start.old() == 0 {
		t.Fatal("nothing is old")
	}
	for n := 1; ; n++ {
		w := start.copyOf(t)
		broken := faults.Wrap(w.disk)
		broken.StopAt(n)
		o := patient()
		o.Reseal = true
		_, err := prune.Run(t.Context(), w.open(broken), o)
		if err != nil && !errors.Is(err, faults.ErrStopped) {
			t.Fatal(err)
		}
		w.whole()
		w.forget(snap)
		last := patient()
		last.Reseal = true
		w.prune(last)
		w.prune(last) // clears the session of the first away
		w.whole()
		w.tidy("gc/claims/", "gc/forgotten/")
		if left := w.old(); left != 0 {
			t.Errorf("%d objects are sealed with the old key", left)
		}
		if t.Failed() {
			t.Fatalf("stopped at change %d", n)
		}
		if err == nil {
			return
		}
	}
}

// A list of condemned packs that is damaged makes sessions rely on nothing, and
// the next prune rid of it. One damaged copy is no matter.
func TestDamagedList(t *testing.T) {
	for copies, prefixes := range [][]string{{"gc/condemned/"}, {"gc/condemned/", "copies/gc/condemned/"}} {
		w := reusing(t)
		hold := errors.New("not now")
		r := w.prune(prune.Options{Hold: func(ctx context.Context) error { return hold }})
		if len(r.Waiting) != 1 || !strings.Contains(r.Waiting[0].Why, hold.Error()) || r.RemovedPacks != 0 {
			t.Fatalf("a prune that is held: %+v", r)
		}
		damaged := 0
		for name, data := range w.disk.Objects() {
			for _, prefix := range prefixes {
				if strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, ".wait") {
					data[len(data)/2] ^= 1
					w.disk.Set(name, data)
					damaged++
				}
			}
		}
		if damaged != copies+1 {
			t.Fatalf("%d objects damaged", damaged)
		}
		o := w.options()
		o.Type = snapshot.Full // else files that are surely unchanged are not even read
		b, err := snapshot.Backup(t.Context(), w.open(w.disk), o)
		if err != nil {
			t.Fatal(err)
		}
		w.found(o.Job, w.files(w.dir))
		if reused := b.Snapshot.Totals.ReusedBytes; (reused > 0) != (copies == 0) {
			t.Errorf("with %d damaged copies %d bytes were reused", damaged, reused)
		}
		w.prune(prune.Options{})
		w.whole()
		w.tidy()
	}
}

// What is damaged stops a prune before it deletes anything.
func TestDamageStopsPrune(t *testing.T) {
	for _, prefix := range []string{"packs/", "snapshots/", "index/"} {
		start := littered(t)
		for name := range start.disk.Objects() {
			if !strings.HasPrefix(name, prefix) {
				continue
			}
			w := start.copyOf(t)
			w.cache = t.TempDir() // else the index is read from there
			w.disk.Set(name, []byte("not what it was"))
			if prefix != "packs/" {
				w.disk.Set("copies/"+name, []byte("not what it was"))
			}
			for other := range w.disk.Objects() {
				if strings.HasPrefix(other, "parity/") {
					if err := w.disk.Delete(t.Context(), other); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := w.disk.Objects()
			_, err := prune.Run(t.Context(), w.open(w.disk), patient())
			after := w.disk.Objects()
			for name := range before {
				if _, there := after[name]; !there && err != nil && !strings.HasPrefix(name, "gc/") {
					t.Errorf("%s damaged: %v, and %s is gone", name, err, name)
				}
			}
			if prefix != "packs/" && err == nil {
				t.Errorf("%s damaged, and nothing stopped the prune", name)
			}
		}
	}
}

// A storage that takes nothing is no place to prune, and one to look at.
func TestReadOnly(t *testing.T) {
	w := littered(t)
	strict := faults.Wrap(w.disk)
	strict.On(faults.Put).Times(-1).Fail(storage.ErrReadOnly)
	strict.On(faults.Delete).Times(-1).Fail(storage.ErrReadOnly)
	if _, err := prune.Run(t.Context(), w.open(strict), prune.Options{}); !errors.Is(err, storage.ErrReadOnly) {
		t.Errorf("prune: %v", err)
	}
	if r, err := prune.Run(t.Context(), w.open(strict), prune.Options{DryRun: true}); err != nil || r.UnusedBytes == 0 || len(r.Plan) == 0 {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	w.whole()
}
