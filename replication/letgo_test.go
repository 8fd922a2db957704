package replication

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// shrunk is a world from whose primary a snapshot was forgotten and its data collected,
// both of which a replica still has.
func shrunk(t *testing.T) (w *world, forgotten string) {
	t.Helper()
	w = newWorld(t)
	w.write("a", 200_000)
	forgotten = w.backup(w.from)
	w.write("a", 1000)
	w.backup(w.from)
	w.replicate()
	w.forget(forgotten)
	w.prune(w.from)
	return w, forgotten
}

func TestDeletionsWait(t *testing.T) {
	w, _ := shrunk(t)
	r := w.replicate()
	if r.Pending == 0 || r.Deleted != 0 {
		t.Errorf("when it was first missed: %+v", r)
	}
	if n := w.restores(w.to); n != 2 {
		t.Errorf("the replica shows %d snapshots, want 2", n)
	}
	w.clock.ahead += 30 * time.Minute
	if r := w.replicate(); r.Deleted != 0 {
		t.Errorf("before the delay has passed: %+v", r)
	}
	w.clock.ahead += time.Hour
	pending := r.Pending
	if r := w.replicate(); r.Deleted != pending || r.Pending != 0 || r.DeletedBytes < 200_000 {
		t.Errorf("when it has: %+v, with %d pending before", r, pending)
	}
	if n := w.restores(w.to); n != 1 {
		t.Errorf("the replica shows %d snapshots, want 1", n)
	}
	for name := range w.to.Objects() {
		if classOf(name) != classNone && w.from.Objects()[name] == nil {
			t.Errorf("%s stays for ever", name)
		}
	}
	if n := w.to.has(deletingPrefix); n > 0 {
		t.Errorf("%d signs of deleting are left", n)
	}
}

// What refers to other things goes before them.
func TestOrderOfDeletions(t *testing.T) {
	w, _ := shrunk(t)
	w.replicate()
	w.clock.ahead += 2 * time.Hour
	var order []string
	f := faults.Wrap(w.to)
	f.On(faults.Delete).Times(-1).Do(func(name string) {
		if !strings.HasPrefix(name, Prefix) {
			order = append(order, name)
		}
		w.restores(w.to)
	})
	w.replicate(func(o *Options) { o.To = f })
	last := 0
	for _, name := range order {
		if rank(name) < last {
			t.Fatalf("%s went after what it refers to: %v", name, order)
		}
		last = rank(name)
	}
	if last != rankPack {
		t.Errorf("no pack went: %v", order)
	}
}

func TestNothingIsDeletedWhile(t *testing.T) {
	hold := func(be func(*world) *place) func(*world) {
		return func(w *world) {
			w.within(be(w), func(repo *repository.Repository) error {
				return repo.Hold(context.Background(), repository.Hold{Source: "s", Name: "alarm"})
			})
		}
	}
	for name, c := range map[string]struct {
		prepare func(*world)
		change  func(*Options)
		kept    string
	}{
		"an alarm holds": {change: func(o *Options) { o.Frozen = func(context.Context) (string, error) { return "entropy", nil } }, kept: "entropy"},
		"alarms are not known": {change: func(o *Options) {
			o.Frozen = func(context.Context) (string, error) { return "", errors.New("no answer") }
		}, kept: "no answer"},
		"a source is held":         {prepare: hold(func(w *world) *place { return w.from }), kept: "alarm"},
		"the replica has a hold":   {prepare: hold(func(w *world) *place { return w.to }), kept: "alarm"},
		"deletions never come":     {change: func(o *Options) { o.DeleteAfter = -1 }},
		"it is not known for long": {change: func(o *Options) { o.DeleteAfter = 24 * time.Hour }},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := shrunk(t)
			w.replicate()
			if c.prepare != nil {
				c.prepare(w)
			}
			w.clock.ahead += 2 * time.Hour
			r := w.replicate(func(o *Options) {
				if c.change != nil {
					c.change(o)
				}
			})
			if r.Deleted != 0 || !strings.Contains(r.Kept, c.kept) || !r.Finished {
				t.Errorf("%+v", r)
			}
			if w.restores(w.to) != 2 {
				t.Error("a snapshot is gone")
			}
		})
	}
}

// An old hold in the replica goes with the delay, and deletions after it.
func TestAHoldThatWasLifted(t *testing.T) {
	w, _ := shrunk(t)
	hold := repository.Hold{Source: "s", Name: "alarm"}
	w.within(w.from, func(repo *repository.Repository) error { return repo.Hold(context.Background(), hold) })
	w.replicate()
	w.within(w.from, func(repo *repository.Repository) error {
		return repo.Release(context.Background(), hold.Source, hold.Name)
	})
	w.replicate()
	w.clock.ahead += 2 * time.Hour
	if r := w.replicate(); r.Deleted == 0 || w.restores(w.to) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestThePrimaryIsNotBelieved(t *testing.T) {
	wipe := func(prefixes ...string) func(*world) {
		return func(w *world) {
			for name := range w.from.Objects() {
				for _, prefix := range prefixes {
					if strings.HasPrefix(name, prefix) {
						w.from.Set(name, nil)
					}
				}
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*world)
		want   error
	}{
		"all is gone":              {wipe(""), repository.ErrNotRepository},
		"all but the config":       {wipe("packs/", "parity/", "index/", "copies/", "snapshots/", "gc/"), ErrEmptied},
		"no snapshot is left":      {wipe("snapshots/", "copies/snapshots/"), ErrEmptied},
		"it is another repository": {func(w *world) { w.from = newWorldIn(t, memoryDir(t)).from }, ErrOtherRepository},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write("a", 10_000)
			w.backup(w.from)
			w.replicate()
			c.change(w)
			before := w.to.Objects()
			for range 3 {
				w.clock.ahead += 100 * time.Hour
				r, err := Run(t.Context(), w.options())
				if !errors.Is(err, c.want) || r.Finished || r.Deleted != 0 {
					t.Errorf("%+v, %v; want %v", r, err, c.want)
				}
			}
			for name, data := range before {
				if string(w.to.Objects()[name]) != string(data) && !strings.HasPrefix(name, Prefix) {
					t.Errorf("%s was touched", name)
				}
			}
			if w.restores(w.to) != 1 {
				t.Error("the snapshot is gone")
			}
		})
	}
}

func TestForceBelievesThePrimary(t *testing.T) {
	w := newWorld(t)
	for range 6 {
		w.write("a", 1000)
		w.forget(w.backup(w.from))
		w.backup(w.from)
	}
	w.replicate()
	n := 0
	for id := range w.live {
		if n++; n < 6 {
			w.forget(id)
		}
	}
	if _, err := Run(t.Context(), w.options()); !errors.Is(err, ErrEmptied) {
		t.Fatalf("five of six snapshots went at once: %v", err)
	}
	force := func(o *Options) { o.Force = true }
	w.replicate(force)
	w.clock.ahead += 2 * time.Hour
	if r := w.replicate(); r.Deleted == 0 || w.restores(w.to) != 1 {
		t.Errorf("%+v", r)
	}
}

// A pack that nobody deleted was lost, and the replica's is what is left of it.
func TestLostPacksStay(t *testing.T) {
	for name, parity := range map[string]bool{"while its parity is there": true, "with its parity": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write("a", 100_000)
			w.backup(w.from)
			w.prune(w.from)
			w.replicate()
			pack := w.from.some(t, "packs/")
			w.from.Set(pack, nil)
			if !parity {
				w.from.Set("parity/"+strings.TrimPrefix(pack, "packs/"), nil)
			}
			for range 3 {
				r := w.replicate()
				if r.LostTotal == 0 || r.Lost[len(r.Lost)-1] != pack || r.Deleted != 0 {
					t.Errorf("%+v", r)
				}
				w.clock.ahead += 100 * time.Hour
			}
			if w.restores(w.to) != 1 {
				t.Error("the snapshot is gone")
			}
		})
	}
}

// A place that keeps what is to be deleted, and notes that are damaged, only delay.
func TestDeletionsAreDelayed(t *testing.T) {
	w, _ := shrunk(t)
	w.replicate()
	w.clock.ahead += 2 * time.Hour
	f := faults.Wrap(w.to)
	f.On(faults.Delete).Under("copies/snapshots/").Fail(storage.ErrRetained)
	r := w.replicate(func(o *Options) { o.To = f })
	if r.Retained != 1 || r.Deleted != 0 || w.restores(w.to) != 2 {
		t.Errorf("while the storage keeps the snapshot: %+v", r)
	}
	w.to.flip(notesName)
	if r := w.replicate(); r.Deleted != 0 || r.Pending == 0 {
		t.Errorf("with damaged notes: %+v", r)
	}
	w.clock.ahead += 2 * time.Hour
	if r := w.replicate(); r.Deleted == 0 || w.restores(w.to) != 1 {
		t.Errorf("afterwards: %+v", r)
	}
}

// What comes back to the primary is not deleted, nor what came back while deleting.
func TestItCameBack(t *testing.T) {
	w, _ := shrunk(t)
	w.replicate()
	w.clock.ahead += 2 * time.Hour
	was := w.to.Objects()
	f := faults.Wrap(w.to)
	f.On(faults.Put).Under(deletingPrefix).Do(func(string) {
		for name, data := range was {
			if classOf(name) == classPack {
				w.from.Set(name, data)
			}
		}
	})
	w.replicate(func(o *Options) { o.To = f })
	for name := range was {
		if classOf(name) == classPack && w.to.Objects()[name] == nil {
			t.Errorf("%s was deleted, and the primary has it", name)
		}
	}
}

// A collector that was at work already when replication looked is believed, too.
func TestReplicatedDuringAPrune(t *testing.T) {
	w := newWorld(t)
	first := w.rewritable()
	w.replicate()
	w.forget(first)
	f := faults.Wrap(w.from)
	f.On(faults.Put).Under("gc/condemned/").Do(func(string) { w.replicate() })
	w.prune(f)
	if r := w.replicate(); r.LostTotal != 0 || r.Pending == 0 {
		t.Errorf("%+v", r)
	}
	w.clock.ahead += 2 * time.Hour
	if r := w.replicate(); r.Pending != 0 || r.Deleted == 0 || w.restores(w.to) != 2 {
		t.Errorf("%+v", r)
	}
}
