package replication

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

var errCut = &storage.TemporaryError{Err: errors.New("the link is cut")}

// ids are the snapshots that were not forgotten.
func (w *world) ids() []string {
	var ids []string
	for id := range w.live {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// meanwhile lets something happen to the primary at some operation on it.
func (w *world) meanwhile(t *rapid.T, f *faults.Backend) {
	op := rapid.SampledFrom([]faults.Op{faults.List, faults.Get}).Draw(t, "at")
	under := rapid.SampledFrom([]string{"", "packs/", "index/", "parity/", "snapshots/", "gc/forgotten/", "gc/turns/"}).Draw(t, "under")
	after := rapid.IntRange(0, 4).Draw(t, "after")
	what := rapid.SampledFrom([]string{"nothing", "backup", "prune", "forget and prune", "cut"}).Draw(t, "meanwhile")
	if what == "cut" {
		f.On(op).Under(under).After(after).Times(-1).Fail(errCut)
		return
	}
	f.On(op).Under(under).After(after).Do(func(string) {
		switch what {
		case "backup":
			w.write("new", 3000)
			w.backup(w.from)
		case "forget and prune":
			if ids := w.ids(); len(ids) > 1 {
				w.forget(ids[0])
			}
			w.prune(w.from)
		case "prune":
			w.prune(w.from)
		}
	})
}

// attempt runs replication, perhaps killed at some write, perhaps with the link cut.
func (w *world) attempt(t *rapid.T) {
	from, to := faults.Wrap(w.from), faults.Wrap(w.to)
	w.meanwhile(t, from)
	killed := rapid.IntRange(0, 25).Draw(t, "killed at write")
	if killed > 0 {
		to.StopAt(killed)
	}
	full := rapid.IntRange(0, 3).Draw(t, "full") == 0
	if full {
		to.On(faults.Put).Under("packs/").After(rapid.IntRange(0, 3).Draw(t, "full after")).Times(-1).Fail(storage.ErrFull)
	}
	o := w.options()
	o.From, o.To, o.Parallel = from, to, 1
	o.Shards = rapid.IntRange(1, 2).Draw(t, "shards")
	o.Shard = rapid.IntRange(0, o.Shards-1).Draw(t, "shard")
	if rapid.Bool().Draw(t, "with the key") {
		o.Know = w.know
	}
	o.ReadBack = rapid.SampledFrom([]float64{0, 50}).Draw(t, "read back")
	w.clock.ahead += time.Second
	_, err := Run(context.Background(), o)
	switch {
	case err == nil, errors.Is(err, faults.ErrStopped), errors.Is(err, storage.ErrFull):
	case errors.Is(err, ErrEmptied): // so many were forgotten
	case errors.As(err, new(*storage.TemporaryError)):
	default:
		t.Fatalf("replicate: %v", err)
	}
	if to.Stopped() && rapid.Bool().Draw(t, "and the power went") {
		w.must(to.PowerCut(context.Background(), rapid.SampledFrom([]faults.Loss{faults.LoseAll, faults.LoseHalf, faults.LoseMixed}).Draw(t, "losing")))
	}
}

// Whatever happens to the primary, the link and the runs, and in whatever order: at every
// moment the replica restores every snapshot that it shows, bit for bit, and no run but
// one that is let end is needed for it to have all.
func TestModel(t *testing.T) {
	root := memoryDir(t)
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w := newWorldIn(t, dir)
		t.Repeat(map[string]func(*rapid.T){
			"backup": func(t *rapid.T) {
				w.write(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "file"), rapid.IntRange(1, 20_000).Draw(t, "bytes"))
				w.backup(w.from)
			},
			"forget": func(t *rapid.T) {
				if ids := w.ids(); len(ids) > 1 {
					w.forget(rapid.SampledFrom(ids).Draw(t, "id"))
				}
			},
			"remove": func(t *rapid.T) {
				os.Remove(filepath.Join(w.dir, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "file")))
			},
			"prune": func(*rapid.T) { w.prune(w.from) },
			"later": func(t *rapid.T) {
				w.clock.ahead += time.Duration(rapid.IntRange(1, 100).Draw(t, "minutes")) * time.Minute
			},
			"attempt": func(t *rapid.T) {
				w.attempt(t)
				w.restores(w.to)
			},
			"run": func(t *rapid.T) {
				r := w.replicate(func(o *Options) { o.Force = true })
				if !r.Finished {
					t.Fatalf("%+v", r)
				}
				w.equal()
				if n := w.restores(w.to); n < len(w.live) {
					t.Fatalf("the replica shows %d snapshots, %d are live", n, len(w.live))
				}
			},
		})
		w.clock.ahead += time.Hour
		w.replicate(func(o *Options) { o.Force = true })
		w.clock.ahead += 2 * time.Hour
		w.replicate(func(o *Options) { o.Force = true })
		w.equal()
		if n := w.restores(w.to); n != len(w.live) {
			t.Fatalf("at the end the replica shows %d snapshots, %d are live", n, len(w.live))
		}
		for name := range w.to.Objects() {
			if classOf(name) != classNone && w.from.Objects()[name] == nil {
				t.Fatalf("%s stays for ever", name)
			}
		}
	})
}
