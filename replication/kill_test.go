package replication

import (
	"errors"
	"testing"
	"time"

	"mahavishnu/storage/faults"
)

// A run that is killed at any write leaves a replica that restores all it shows, and
// the next one ends what it began.
func TestKilledAtEveryWrite(t *testing.T) {
	base := newWorld(t)
	base.write("a", 60_000)
	base.backup(base.from)
	base.write("b", 1000)
	old := base.backup(base.from)
	base.replicate()
	base.forget(old)
	base.write("a", 2000)
	base.backup(base.from)
	base.prune(base.from)
	base.replicate()
	base.write("c", 3000)
	base.backup(base.from)
	base.clock.ahead += 2 * time.Hour // what was forgotten is due, and there is something new
	from, to := base.from.Clone(), base.to.Clone()
	for n := 1; ; n++ {
		for _, loss := range []faults.Loss{nil, faults.LoseAll, faults.LoseHalf} {
			w := *base
			w.from, w.to = &place{from.Clone(), "primary"}, &place{to.Clone(), "replica"}
			f := faults.Wrap(w.to)
			f.StopAt(n)
			o := w.options()
			o.To, o.Parallel = f, 1
			_, err := Run(t.Context(), o)
			if !f.Stopped() {
				if err != nil || n < 10 {
					t.Fatalf("after %d writes: %v", n, err)
				}
				return
			}
			if !errors.Is(err, faults.ErrStopped) {
				t.Fatalf("stopped at write %d: %v", n, err)
			}
			if loss != nil {
				if err := f.PowerCut(t.Context(), loss); err != nil {
					t.Fatal(err)
				}
			}
			if shown := w.restores(w.to); shown < 2 {
				t.Fatalf("stopped at write %d, the replica shows %d snapshots", n, shown)
			}
			if r := w.replicate(); !r.Finished {
				t.Fatalf("stopped at write %d, the next run: %+v", n, r)
			}
			w.equal()
			w.restores(w.to)
		}
	}
}

// The same of a first run, into nothing.
func TestFirstRunKilledAtEveryWrite(t *testing.T) {
	base := newWorld(t)
	base.write("a", 10_000)
	base.backup(base.from)
	for n := 1; ; n++ {
		w := *base
		w.to = newPlace("replica")
		f := faults.Wrap(w.to)
		f.StopAt(n)
		o := w.options()
		o.To, o.Parallel = f, 1
		if _, err := Run(t.Context(), o); !f.Stopped() {
			if err != nil || n < 10 {
				t.Fatalf("after %d writes: %v", n, err)
			}
			return
		}
		w.restores(w.to)
		w.replicate()
		w.equal()
		if w.restores(w.to) != 1 {
			t.Fatalf("stopped at write %d, the replica is not complete afterwards", n)
		}
	}
}
