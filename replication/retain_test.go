package replication

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/local"
	"mahavishnu/storage/storagetest/servers"
)

const keptFor = 30 * 24 * time.Hour

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// shelf is a place that keeps objects.
type shelf interface {
	storage.Backend
	storage.Retainer
}

// directory is one on this machine, which goes by the world's clock.
func (w *world) directory(t *testing.T) shelf {
	t.Helper()
	be, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return be.WithClock(w.clock)
}

// onto runs replication into a place that keeps objects, to the end.
func (w *world) onto(to storage.Backend, change ...func(*Options)) Result {
	w.t.Helper()
	return w.replicate(append([]func(*Options){func(o *Options) { o.To, o.Retention = to, Retention{For: keptFor} }}, change...)...)
}

// ends returns until when objects are kept, of all that are to be.
func ends(t *testing.T, be shelf) map[string]time.Time {
	t.Helper()
	all := map[string]time.Time{}
	err := be.List(t.Context(), "", func(info storage.Info) error {
		if !repository.IsRetained(info.Name) {
			return nil
		}
		until, err := be.Retained(t.Context(), info.Name)
		all[info.Name] = until
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d objects, %v", len(all), err)
	}
	return all
}

// earliest is when the first of them can be deleted.
func earliest(all map[string]time.Time) time.Time {
	return slices.MinFunc(slices.Collect(maps.Values(all)), time.Time.Compare)
}

func TestCopiesAreKept(t *testing.T) {
	w := newWorld(t)
	w.write("a", 200_000)
	w.backup(w.from)
	to := w.directory(t)
	began := w.clock.Now()
	w.onto(to)
	for name, until := range ends(t, to) {
		if until.Before(began.Add(keptFor)) {
			t.Errorf("%s is kept until %v, want 30 days", name, until)
		}
		if err := to.Delete(t.Context(), name); !errors.Is(err, storage.ErrRetained) {
			t.Errorf("%s could be deleted: %v", name, err)
		}
	}
	p, err := Protected(t.Context(), to, w.clock.Now())
	if err != nil || p.Open > 0 || p.Objects != len(ends(t, to)) || !p.Until.Equal(earliest(ends(t, to))) {
		t.Errorf("%+v, %v", p, err)
	}

	// It is kept for longer when half of the time is over, and not before.
	first := ends(t, to)
	w.clock.ahead += days(14)
	if r := w.onto(to); r.Extended > 0 || !maps.Equal(first, ends(t, to)) {
		t.Errorf("before half of the time is over: %+v", r)
	}
	w.write("b", 1000)
	w.backup(w.from)
	w.clock.ahead += days(2)
	r := w.onto(to)
	if r.Extended != len(first) || earliest(ends(t, to)).Before(w.clock.Now().Add(days(29))) {
		t.Errorf("after it: %+v, the earliest end is %v", r, earliest(ends(t, to)))
	}
	if until, err := KeptUntil(t.Context(), to); err != nil || !until.Equal(r.RetainedUntil) || until.After(earliest(ends(t, to))) {
		t.Errorf("noted is %v, %v; true is %v", until, err, earliest(ends(t, to)))
	}
	// A longer time than was asked for before counts at once.
	if r := w.onto(to, func(o *Options) { o.Retention.For = 4 * keptFor }); r.Extended == 0 {
		t.Errorf("with a longer time: %+v", r)
	}
}

// What was deleted in the primary comes to its end, and goes then.
func TestWhatIsDeletedIsNotKeptForLonger(t *testing.T) {
	w := newWorld(t)
	to := w.directory(t)
	w.write("a", 200_000)
	forgotten := w.backup(w.from)
	w.write("a", 1000)
	w.backup(w.from)
	w.onto(to)
	before := ends(t, to)
	w.forget(forgotten)
	w.prune(w.from)
	w.onto(to) // notes that they are gone
	w.clock.ahead += days(16)
	r := w.onto(to)
	if r.Extended == 0 || r.Retained == 0 || r.Deleted > r.Pending {
		t.Errorf("half-way: %+v", r)
	}
	same := 0
	for name, until := range ends(t, to) {
		_, wanted := w.from.Objects()[name]
		switch {
		case !wanted && !until.Equal(before[name]):
			t.Errorf("%s, which is gone from the primary, is kept until %v", name, until)
		case wanted && until.Before(w.clock.Now().Add(days(29))):
			t.Errorf("%s, which is wanted, is kept until %v", name, until)
		case !wanted:
			same++
		}
	}
	if same == 0 {
		t.Fatal("nothing is gone from the primary")
	}
	if p, err := Protected(t.Context(), to, w.clock.Now()); err != nil || p.Open > 0 || p.Until.Before(w.clock.Now().Add(days(29))) {
		t.Errorf("what waits for its deletion counts: %+v, %v", p, err)
	}
	w.clock.ahead += days(15)
	if r := w.onto(to); r.Deleted == 0 || r.Retained > 0 || r.Pending > 0 {
		t.Errorf("at its end: %+v", r)
	}
	if p, err := Protected(t.Context(), to, w.clock.Now()); err != nil || p.Open > 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// Whatever makes it doubtful that something was deleted on purpose keeps it for longer.
func TestWhatIsDoubtfulIsKeptForLonger(t *testing.T) {
	for name, c := range map[string]struct {
		world   func(*testing.T) (*world, string)
		happens func(w *world)
		change  func(o *Options)
		fails   bool
	}{
		"a snapshot was lost, and its data collected": {world: bereft, happens: func(w *world) { w.prune(w.from) }},
		"an alarm": {change: func(o *Options) {
			o.Frozen = func(context.Context) (string, error) { return "entropy", nil }
		}},
		"the primary is emptied": {happens: func(w *world) {
			for name := range w.from.Objects() {
				if classOf(name) != classConfig {
					w.from.Set(name, nil)
				}
			}
		}, fails: true},
		"the primary is away": {change: func(o *Options) { o.From = newPlace("nothing") }, fails: true},
		"the primary cannot be listed": {change: func(o *Options) {
			from := faults.Wrap(o.From)
			from.On(faults.List).Under("packs/").Times(-1).Fail(errCut)
			o.From = from
		}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.world == nil {
				c.world = shrunk
			}
			w, _ := c.world(t)
			to := w.directory(t)
			w.replicate(func(o *Options) { o.From, o.To, o.Retention = w.to, to, Retention{For: keptFor} }) // of what has it all
			w.onto(to)                                                                                      // notes what is gone
			if c.happens != nil {
				c.happens(w)
			}
			if !c.fails {
				w.onto(to)
			}
			w.clock.ahead += days(16)
			o := w.options()
			o.To, o.Retention = to, Retention{For: keptFor}
			if c.change != nil {
				c.change(&o)
			}
			r, err := Run(t.Context(), o)
			if (err != nil) != c.fails {
				t.Fatalf("%+v, %v", r, err)
			}
			if first := earliest(ends(t, to)); first.Before(w.clock.Now().Add(days(29))) {
				t.Errorf("the earliest end is %v; %+v, %v", first, r, err)
			}
		})
	}
}

// A place that cannot keep anything gets copies all the same, and that is told.
func TestStorageThatKeepsNothing(t *testing.T) {
	w := newWorld(t)
	w.write("a", 1000)
	w.backup(w.from)
	r := w.onto(w.to)
	if !r.Finished || r.Unretained == "" || w.restores(w.to) != 1 {
		t.Errorf("%+v", r)
	}
	if _, err := Protected(t.Context(), w.to, w.clock.Now()); !errors.Is(err, storage.ErrUnsupported) {
		t.Errorf("its protection: %v", err)
	}
	// So is by every run that it is not even set up for it.
	o := w.options()
	o.Retention = Retention{Unable: "no lock"}
	for range 2 {
		if r, err := Run(t.Context(), o); err != nil || r.Unretained != "no lock" {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// Protection is claimed when it is true of every object, also of one that came another way.
func TestProtectionIsAskedOfEveryObject(t *testing.T) {
	w := newWorld(t)
	w.write("a", 100_000)
	w.backup(w.from)
	to := w.directory(t)
	w.onto(to)
	pack := w.from.some(t, packPrefix)
	w.write("b", 100_000)
	w.backup(w.from)
	w.replicate(func(o *Options) { o.To = to }) // by a program that is set up otherwise
	p, err := Protected(t.Context(), to, w.clock.Now())
	if err != nil || p.Open == 0 || p.Open == p.Objects || p.Example == pack {
		t.Errorf("%+v, %v", p, err)
	}
	w.onto(to) // at once, and not when half of the time is over
	if p, err := Protected(t.Context(), to, w.clock.Now()); err != nil || p.Open > 0 {
		t.Errorf("after the next run: %+v, %v", p, err)
	}
}

// Damage in the replica that its storage keeps as it is does not end the run, is told, and
// hides snapshots that would need it.
func TestDamageThatIsKept(t *testing.T) {
	w := newWorld(t)
	w.write("a", 100_000)
	w.backup(w.from)
	to := w.directory(t)
	w.replicate(func(o *Options) { o.To = to })
	pack := w.from.some(t, packPrefix)
	if err := to.Put(t.Context(), pack, w.from.Objects()[pack][:100], storage.PutOptions{RetainUntil: w.clock.Now().Add(keptFor)}); err != nil {
		t.Fatal(err)
	}
	w.write("b", 1000)
	w.backup(w.from)
	r := w.onto(to)
	if r.Stuck != 1 || r.Snapshots > 0 {
		t.Errorf("%+v", r)
	}
	w.clock.ahead += days(31)
	if r := w.onto(to); !r.Finished || r.Stuck > 0 || r.Mended != 1 || r.Snapshots != 1 {
		t.Errorf("when it may be replaced: %+v", r)
	}
}

// A server keeps the copies by its own rules: it refuses to delete them whoever asks, and
// the next extension is true there too.
func TestCopiesUnderObjectLock(t *testing.T) {
	s := servers.S3(t, servers.ObjectLock())
	be, err := storage.OpenWith(t.Context(), s.URL("copy")+"&lock=compliance", storage.OpenOptions{
		Credentials: storage.Credentials{S3: storage.S3Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	to := be.(shelf)
	w := newWorld(t)
	w.write("a", 200_000)
	w.backup(w.from)
	r := w.onto(to)
	if !r.Finished || r.Unretained != "" {
		t.Fatalf("%+v", r)
	}
	for name := range ends(t, to) {
		if err := to.Delete(t.Context(), name); !errors.Is(err, storage.ErrRetained) {
			t.Errorf("%s could be deleted: %v", name, err)
		}
	}
	first := earliest(ends(t, to))
	w.clock.ahead += days(16)
	if r := w.onto(to); r.Extended == 0 || !earliest(ends(t, to)).After(first.Add(days(15))) {
		t.Errorf("%+v; the earliest end was %v and is %v", r, first, earliest(ends(t, to)))
	}
	if p, err := Protected(t.Context(), to, w.clock.Now()); err != nil || p.Open > 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// colds notes how objects are put.
type colds struct {
	*place
	cold, other map[string]bool
}

func (c *colds) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	if o.Cold {
		c.cold[name] = true
	} else {
		c.other[name] = true
	}
	return c.place.Put(ctx, name, data, o)
}

// Packs of data go to the cold class, and nothing that is read to look around.
func TestOnlyDataIsCold(t *testing.T) {
	w := newWorld(t)
	w.write("a", 200_000)
	w.backup(w.from)
	to := &colds{w.to, map[string]bool{}, map[string]bool{}}
	w.replicate(func(o *Options) { o.To, o.Cold, o.Parallel = to, true, 1 })
	data, trees := 0, 0
	for name, object := range w.from.Objects() {
		if !strings.HasPrefix(name, packPrefix) {
			continue
		}
		if repository.Kind(object[6]) == repository.KindData {
			data++
		} else {
			trees++
		}
		if to.cold[name] != (repository.Kind(object[6]) == repository.KindData) {
			t.Errorf("%s of kind %d is cold: %v", name, object[6], to.cold[name])
		}
	}
	if data == 0 || trees == 0 || len(to.cold) != data {
		t.Errorf("%d packs of data, %d of trees, %d objects are cold", data, trees, len(to.cold))
	}
}
