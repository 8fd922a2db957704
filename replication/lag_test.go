package replication

import (
	"errors"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/storage/faults"
)

// truth is the lag by comparing both storages object by object.
func (w *world) truth() (lag Lag) {
	have := w.to.Objects()
	for name, data := range w.from.Objects() {
		if c := classOf(name); c == classNone || c == classConfig || have[name] != nil {
			continue
		}
		lag.Objects++
		lag.Bytes += int64(len(data))
		t, ok := repository.SnapshotTime(name)
		if classOf(name) != classSnapshot || !ok || name[:len(copyPrefix)] == copyPrefix {
			continue
		}
		lag.Snapshots++
		if lag.Oldest.IsZero() || t.Before(lag.Oldest) {
			lag.Oldest = t
		}
	}
	return lag
}

// While the link is cut the lag grows with every backup, by as much as is stored; once
// it is whole again the next run catches up and nothing is left.
func TestLagIsTheTruth(t *testing.T) {
	w := newWorld(t)
	look := func(when string) Lag {
		t.Helper()
		got, err := Measure(t.Context(), w.from, w.to)
		want := w.truth()
		want.Newest = got.Newest
		if err != nil || got != want {
			t.Errorf("%s: the lag is %+v, %v; the truth is %+v", when, got, err, want)
		}
		return got
	}
	w.write("a", 50_000)
	w.backup(w.from)
	look("before the first run")
	w.replicate()
	if lag := look("when all is there"); lag.Objects != 0 || lag.Age(time.Now()) != 0 || lag.Newest.IsZero() {
		t.Errorf("%+v", lag)
	}
	cut := errors.New("the link is cut")
	f := faults.Wrap(w.from)
	f.On(faults.Get).Under("index/").Times(3).Fail(cut)
	var last Lag
	for i := range 3 {
		w.write("a", 10_000*(i+1))
		w.backup(w.from)
		o := w.options()
		o.From, o.Parallel = f, 1
		if _, err := Run(t.Context(), o); !errors.Is(err, cut) {
			t.Fatalf("the link is not cut: %v", err)
		}
		lag := look("during the cut")
		if lag.Snapshots != int64(i+1) || lag.Objects <= last.Objects || i > 0 && lag.Oldest != last.Oldest {
			t.Errorf("after %d backups the lag is %+v, before %+v", i+1, lag, last)
		}
		if want := time.Since(lag.Oldest); lag.Age(time.Now()) < want {
			t.Errorf("its age is %v, want %v", lag.Age(time.Now()), want)
		}
		last = lag
	}
	o := w.options()
	o.From, o.Parallel = f, 1
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if lag := look("afterwards"); lag.Objects != 0 || lag.Age(time.Now()) != 0 {
		t.Errorf("%+v", lag)
	}
}

func TestLagOfDeletions(t *testing.T) {
	w, _ := shrunk(t)
	r := w.replicate()
	lag, err := Measure(t.Context(), w.from, w.to)
	if err != nil || lag.Pending != int64(r.Pending) || lag.Objects != 0 {
		t.Errorf("%+v, %v; the run said %+v", lag, err, r)
	}
}

func TestLagOfStrangers(t *testing.T) {
	w := newWorld(t)
	if _, err := Measure(t.Context(), w.from, newWorld(t).from); !errors.Is(err, ErrOtherRepository) {
		t.Errorf("of another repository: %v", err)
	}
	if _, err := Measure(t.Context(), w.to, w.from); !errors.Is(err, repository.ErrNotRepository) {
		t.Errorf("of a primary that is gone: %v", err)
	}
}
