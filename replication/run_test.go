package replication

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

func TestReplicaIsTheSameRepository(t *testing.T) {
	w := newWorld(t)
	w.write("a", 300_000)
	w.backup(w.from)
	w.write("b", 50_000)
	w.backup(w.from)
	r := w.replicate()
	if !r.Finished || r.Snapshots != 2 || r.Copied == 0 || r.CopiedBytes < 350_000 {
		t.Errorf("the first run: %+v", r)
	}
	w.equal()
	if n := w.restores(w.to); n != 2 {
		t.Errorf("the replica restores %d snapshots, want 2", n)
	}
	if n := w.to.has("gc/"); n > 0 {
		t.Errorf("%d objects of garbage collection were copied: they belong to their place", n)
	}
	if r := w.replicate(); r.Copied+r.Refreshed+r.CopiedBytes != 0 || !r.Finished || r.Snapshots != 0 {
		t.Errorf("a second run copied again: %+v", r)
	}
}

func TestOnlyWhatIsMissingIsRead(t *testing.T) {
	w := newWorld(t)
	w.write("a", 100_000)
	w.backup(w.from)
	w.replicate()
	w.write("b", 100)
	w.backup(w.from)
	read := map[string]int{}
	f := faults.Wrap(w.from)
	f.On(faults.Get).Under("packs/").Times(-1).Do(func(name string) { read[name]++ })
	before := w.to.Objects()
	if r := w.replicate(func(o *Options) { o.From, o.Parallel = f, 1 }); r.Snapshots != 1 {
		t.Fatalf("%+v", r)
	}
	for name, n := range read {
		if before[name] != nil || n != 1 {
			t.Errorf("%s was there, or read %d times", name, n)
		}
	}
	if len(read) == 0 {
		t.Error("no pack was read")
	}
}

func TestDamageIsNotCopied(t *testing.T) {
	for _, c := range []struct {
		prefix  string
		visible int // snapshots in the replica afterwards, of two
	}{
		{"packs/", 1}, {"parity/", 2}, {"index/", 2}, {"snapshots/", 2},
	} {
		t.Run(strings.Trim(c.prefix, "/"), func(t *testing.T) {
			w := newWorld(t)
			w.write("a", 40_000)
			w.backup(w.from)
			w.replicate()
			old := w.from.Objects()
			w.write("b", 40_000)
			w.backup(w.from)
			bad := ""
			for name := range w.from.Objects() {
				if strings.HasPrefix(name, c.prefix) && old[name] == nil {
					bad = name
				}
			}
			good := w.from.Objects()[bad]
			w.from.flip(bad)
			o := w.options()
			r, err := Run(t.Context(), o)
			if !errors.Is(err, ErrDamaged) || r.DamagedTotal != 1 || r.Damaged[0].Object != bad || r.Finished {
				t.Errorf("with %s damaged: %+v, %v", bad, r, err)
			}
			if n := w.restores(w.to); n != c.visible {
				t.Errorf("the replica shows %d snapshots, want %d", n, c.visible)
			}
			if got := w.to.Objects()[bad]; got != nil && string(got) != string(good) {
				t.Error("the damage arrived in the replica")
			}
			w.from.Set(bad, good)
			w.replicate()
			w.equal()
			if n := w.restores(w.to); n != 2 {
				t.Errorf("when it was mended the replica shows %d snapshots, want 2", n)
			}
		})
	}
}

// A second copy that is damaged is not missed: the replica gets two good ones.
func TestDamagedSecondCopies(t *testing.T) {
	for _, prefix := range []string{"copies/snapshots/", "copies/index/"} {
		w := newWorld(t)
		w.write("a", 1000)
		w.backup(w.from)
		name := w.from.some(t, prefix)
		good := w.from.Objects()[name]
		w.from.flip(name)
		w.replicate()
		if string(w.to.Objects()[name]) != string(good) {
			t.Errorf("%s is not whole in the replica", name)
		}
	}
}

// A good pack in the replica is not lost because the primary's is damaged.
func TestDamageInThePrimaryLater(t *testing.T) {
	w := newWorld(t)
	w.write("a", 40_000)
	w.backup(w.from)
	w.replicate()
	name := w.from.some(t, "packs/")
	w.from.Set(name, w.from.Objects()[name][:100])
	_, err := Run(t.Context(), w.options())
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("a truncated pack: %v", err)
	}
	if w.restores(w.to) == 0 {
		t.Error("nothing is left in the replica")
	}
}

func TestResealedObjectsAreRefreshed(t *testing.T) {
	w := newWorld(t)
	w.write("a", 10_000)
	w.backup(w.from)
	w.replicate()
	w.ring = w.ring.Rotated(time.Now())
	w.within(w.from, func(repo *repository.Repository) error {
		_, err := prune.Run(t.Context(), repo, prune.Options{Reseal: true, Clock: &jumps{Clock: clock.System()}, Wait: time.Hour})
		return err
	})
	r := w.replicate()
	if r.Refreshed == 0 {
		t.Errorf("nothing was refreshed: %+v", r)
	}
	w.equal()
	w.restores(w.to)
}

func TestReplicaIsMended(t *testing.T) {
	for _, prefix := range []string{"packs/", "parity/", "index/", "copies/index/", "snapshots/"} {
		w := newWorld(t)
		w.write("a", 40_000)
		w.backup(w.from)
		w.replicate()
		w.to.flip(w.to.some(t, prefix))
		if r := w.replicate(func(o *Options) { o.ReadBack = 100 }); r.Mended != 1 || r.ReadBack == 0 {
			t.Errorf("a damaged object below %s: %+v", prefix, r)
		}
		w.equal()
	}
}

// rewritable makes three snapshots. When the first, whose id is returned, is forgotten, a
// prune rewrites a pack that the others need a part of.
func (w *world) rewritable() (first string) {
	w.t.Helper()
	w.write("a", 200_000)
	w.write("kept", 20_000)
	first = w.backup(w.from)
	w.write("a", 1000)
	w.backup(w.from)
	w.write("b", 1000)
	w.backup(w.from)
	return first
}

// While snapshots are forgotten and packs are rewritten, the replica gets no snapshot
// without what it needs.
func TestGarbageIsCollectedMeanwhile(t *testing.T) {
	for _, c := range []struct {
		op    faults.Op
		under string
	}{
		{faults.List, "gc/forgotten/"},
		{faults.List, "index/"},
		{faults.List, "packs/"},
		{faults.List, "parity/"},
		{faults.Get, "packs/"},
		{faults.Get, "index/"},
		{faults.Get, "snapshots/"},
	} {
		t.Run(string(c.op)+" "+strings.Trim(c.under, "/"), func(t *testing.T) {
			w := newWorld(t)
			first := w.rewritable()
			f := faults.Wrap(w.from)
			f.On(c.op).Under(c.under).Do(func(string) {
				w.forget(first)
				w.prune(w.from)
			})
			r := w.replicate(func(o *Options) { o.From, o.Parallel = f, 1 })
			if w.live[first] {
				t.Fatal("nothing happened meanwhile")
			}
			if n := w.restores(w.to); n < 2 || !r.Finished {
				t.Errorf("the replica shows %d snapshots: %+v", n, r)
			}
			w.replicate()
			w.equal()
			w.restores(w.to)
		})
	}
}

func TestTargetIsFull(t *testing.T) {
	w := newWorld(t)
	w.write("a", 100_000)
	w.backup(w.from)
	f := faults.Wrap(w.to)
	f.On(faults.Put).Under("packs/").After(1).Times(-1).Fail(storage.ErrFull)
	o := w.options()
	o.To, o.Parallel = f, 1 // the first pack is there before the second is refused
	_, err := Run(t.Context(), o)
	if !errors.Is(err, storage.ErrFull) || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a full target: %v", err)
	}
	if n := w.restores(w.to); n != 0 {
		t.Errorf("%d snapshots are shown", n)
	}
	before := w.to.has("packs/")
	if r := w.replicate(); r.Snapshots != 1 || before == 0 {
		t.Errorf("after making room: %+v, with %d packs there", r, before)
	}
	w.equal()
}

func TestLinkIsCut(t *testing.T) {
	w := newWorld(t)
	w.write("a", 100_000)
	w.backup(w.from)
	gone := &storage.TemporaryError{Err: errors.New("connection reset")}
	f := faults.Wrap(w.from)
	f.On(faults.Get).Under("parity/").Times(-1).Fail(gone)
	o := w.options()
	o.From = f
	var temporary *storage.TemporaryError
	if _, err := Run(t.Context(), o); !errors.As(err, &temporary) {
		t.Errorf("with the link cut: %v", err)
	}
	w.restores(w.to)
	w.replicate()
	w.equal()
}

func TestACancelledRun(t *testing.T) {
	w := newWorld(t)
	w.write("a", 1000)
	w.backup(w.from)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was cancelled")
	f := faults.Wrap(w.to)
	f.On(faults.Put).Under("packs/").Do(func(string) { cancel(why) })
	o := w.options()
	o.To = f
	if _, err := Run(ctx, o); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	w.replicate()
	w.equal()
}

func TestShards(t *testing.T) {
	w := newWorld(t)
	for range 12 {
		w.write("a", 30_000)
		w.backup(w.from)
	}
	const n = 3
	var last Result
	for shard := range n {
		o := w.options()
		o.Shard, o.Shards = shard, n
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if shard < n-1 && r.Finished && w.from.has("packs/") > 30 {
			t.Errorf("shard %d finished for all: %+v", shard, r)
		}
		w.restores(w.to)
		last = r
	}
	if !last.Finished {
		t.Errorf("the last shard did not finish: %+v", last)
	}
	w.equal()
	for _, bad := range [][2]int{{3, 3}, {-1, 2}, {1, 0}} {
		o := w.options()
		o.Shard, o.Shards = bad[0], bad[1]
		if _, err := Run(t.Context(), o); err == nil {
			t.Errorf("shard %d of %d was taken", bad[0], bad[1])
		}
	}
}

func TestProgressAddsUp(t *testing.T) {
	w := newWorld(t)
	w.write("a", 100_000)
	w.backup(w.from)
	var sum Step
	r := w.replicate(func(o *Options) {
		o.Progress = func(s Step) {
			sum.Objects += s.Objects
			sum.Bytes += s.Bytes
			sum.ExpectObjects += s.ExpectObjects
		}
	})
	if sum.Objects != r.Copied || sum.ExpectObjects != r.Copied || sum.Bytes != r.CopiedBytes {
		t.Errorf("progress %+v, result %+v", sum, r)
	}
}

// torn is a storage in which something happens in the middle of listing a prefix and the
// second copies of it: what goes meanwhile is not listed, and neither is what comes.
type torn struct {
	*place
	prefix    string
	meanwhile func()
	before    map[string][]byte
}

func (b *torn) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	switch {
	case prefix == b.prefix && b.before == nil:
		b.before = b.Objects()
		b.meanwhile()
	case prefix == copyPrefix+b.prefix && b.before != nil:
	default:
		return b.place.List(ctx, prefix, fn)
	}
	before := b.before
	if strings.HasPrefix(prefix, copyPrefix) {
		b.prefix = "" // from now on nothing happens any more
	}
	return b.place.List(ctx, prefix, func(info storage.Info) error {
		if before[info.Name] == nil {
			return nil
		}
		return fn(info)
	})
}

// A listing that takes long shows neither the old part of the index nor the new one that
// replaced it. The replica shows no snapshot on the strength of that.
func TestListingsAreNotOneMoment(t *testing.T) {
	for _, prefix := range []string{"index/", "packs/", "snapshots/", "parity/", "gc/forgotten/", "gc/turns/"} {
		t.Run(strings.Trim(prefix, "/"), func(t *testing.T) {
			w := newWorld(t)
			first := w.rewritable()
			from := &torn{place: w.from, prefix: prefix, meanwhile: func() {
				w.forget(first)
				w.prune(w.from)
			}}
			r := w.replicate(func(o *Options) { o.From = from })
			if from.before == nil {
				t.Fatal("nothing happened meanwhile")
			}
			if n := w.restores(w.to); n < 2 || !r.Finished {
				t.Errorf("the replica shows %d snapshots: %+v", n, r)
			}
			w.replicate()
			w.equal()
		})
	}
}
