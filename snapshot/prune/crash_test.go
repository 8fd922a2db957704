package prune_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// jumps is a clock that nobody waits for: sleeping moves it on.
type jumps struct {
	clock.Clock
	now   func() time.Time
	ahead time.Duration
}

func newJumps() *jumps { return &jumps{Clock: clock.System(), now: time.Now} }

func (j *jumps) Now() time.Time { return j.now().Add(j.ahead) }

func (j *jumps) Sleep(ctx context.Context, d time.Duration) error {
	j.ahead += d
	return context.Cause(ctx)
}

// patient waits long enough to tell the dead from the living.
func patient() prune.Options { return prune.Options{Clock: newJumps(), Wait: time.Hour} }

// littered is a world whose storage has everything a prune can meet: snapshots
// that share packs, a forgotten one, packs partly needed, packs of a session that
// died.
func littered(t testing.TB) *world {
	w := newWorld(t)
	w.write("kept/same", content(1, 40_000))
	w.write("partly", content(2, 50_000))
	w.write("gone", content(3, 60_000))
	first := w.backup()
	w.remove("gone")
	w.write("new", content(4, 30_000))
	w.backup()
	w.write("dir/more", content(5, 20_000))
	w.remove("partly")
	second := w.backup()
	w.forget(first)
	broken := faults.Wrap(w.disk)
	broken.On(faults.Put).Under("index/").Fail(errStopped)
	broken.On(faults.Delete).Times(-1).Fail(errStopped)
	w.write("unfinished", content(6, 25_000))
	if _, err := snapshot.Backup(t.Context(), w.open(broken), w.options()); !errors.Is(err, errStopped) {
		t.Fatalf("the backup that should die: %v", err)
	}
	w.remove("unfinished")
	_ = second
	return w
}

// TestStopAtEveryChange stops a prune at each of its changes, with and without
// the loss of power. Whatever happens, every snapshot restores, and the next
// prune leaves no garbage.
func TestStopAtEveryChange(t *testing.T) {
	start := littered(t)
	losses := map[string]faults.Loss{"killed": nil, "lose all": faults.LoseAll, "lose mixed": faults.LoseMixed}
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				w := *start
				w.t, w.disk = t, start.disk.Clone()
				broken := faults.Wrap(w.disk)
				broken.StopAt(n)
				repo, err := repository.Open(t.Context(), broken, w.ring, repository.OpenOptions{CacheDir: w.cache})
				if err != nil {
					t.Fatal(err)
				}
				_, err = prune.Run(t.Context(), repo, prune.InParts(patient(), 1))
				if closeErr := repo.Close(); closeErr != nil {
					t.Fatal(closeErr)
				}
				if err == nil {
					if n < 20 {
						t.Fatalf("the prune made %d changes only", n)
					}
					return
				}
				if !errors.Is(err, faults.ErrStopped) {
					t.Fatalf("stopped at change %d: %v", n, err)
				}
				if loss != nil {
					if err := broken.PowerCut(t.Context(), loss); err != nil {
						t.Fatal(err)
					}
				}
				w.whole()
				w.checked(true)
				w.prune(patient())
				w.whole()
				w.tidy()
				if t.Failed() {
					t.Fatalf("stopped at change %d", n)
				}
			}
		})
	}
}

// What stops the copying of blobs, when the first pack is full, stops the end of it,
// too, and is told once.
func TestWhatFailedIsToldOnce(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.write(fmt.Sprint("large", i), content(uint64(i), 9<<20))
	}
	w.backup()
	w.ring = w.ring.Rotated(time.Now())
	w.write("new", content(9, 1000))
	w.backup()
	broken := faults.Wrap(w.disk)
	broken.On(faults.Put).Under("packs/").Times(-1).Fail(errStopped)
	_, err := prune.Run(t.Context(), w.open(broken), prune.Options{Reseal: true})
	if !errors.Is(err, errStopped) || strings.Count(err.Error(), errStopped.Error()) != 1 {
		t.Errorf("prune: %v", err)
	}
	w.whole()
}

// Two prunes at once: one yields, or both do harmless work.
func TestTwoAtOnce(t *testing.T) {
	start := littered(t)
	for n := range 12 {
		w := *start
		w.t, w.disk = t, start.disk.Clone()
		stage := faults.Wrap(w.disk)
		stage.On(faults.Put).After(n * 3).Do(func(string) {
			other, err := prune.Run(context.Background(), w.open(w.disk), prune.Options{})
			if busy := new(lease.BusyError); err != nil && !errors.As(err, &busy) {
				t.Errorf("the other prune: %v, %+v", err, other)
			}
		})
		_, err := prune.Run(t.Context(), w.open(stage), prune.Options{})
		if busy := new(lease.BusyError); err != nil && !errors.As(err, &busy) {
			t.Fatal(err)
		}
		w.whole()
		w.prune(patient())
		w.whole()
		w.tidy()
	}
}

// TestStalledCollector lets a prune stall at each of its changes for 48 hours,
// while another takes its place and ends, a snapshot is forgotten, and a backup is
// made; then it goes on.
func TestStalledCollector(t *testing.T) {
	start := littered(t)
	for n, met := 0, true; met; n++ {
		w := *start
		w.t, w.disk = t, start.disk.Clone()
		w.want = map[string]map[string]string{}
		for id, files := range start.want {
			w.want[id] = files
		}
		stage := faults.Wrap(w.disk)
		met = false
		between := func(string) {
			met = true
			w.prune(patient())
			w.whole()
			snaps, _, err := w.open(w.disk).Snapshots(context.Background(), "")
			if err != nil {
				t.Fatal(err)
			}
			w.forget(snaps[0])
			w.write("later", content(7, 10_000))
			w.backup()
			w.prune(patient())
			w.whole()
		}
		stage.On(faults.Put).After(n).Do(between)
		o := patient()
		_, err := prune.Run(t.Context(), w.open(stage), o)
		if busy := new(lease.BusyError); err != nil && !errors.Is(err, repository.ErrFenced) && !errors.As(err, &busy) && !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("stalled at put %d: %v", n, err)
		}
		w.whole()
		w.prune(patient())
		w.whole()
		w.tidy()
		w.remove("later")
		if t.Failed() {
			t.Fatal(fmt.Sprint("stalled at put ", n))
		}
	}
}

// When a pack is deleted no part of the index names it any more, and the index has
// everything that is needed, even if the power goes at that moment.
func TestIndexIsDurableBeforePacksGo(t *testing.T) {
	start := littered(t)
	for n, met := 0, true; met; n++ {
		w := start.copyOf(t)
		broken := faults.Wrap(w.disk)
		going := ""
		broken.On(faults.Delete).Under("packs/").After(n).Do(func(name string) {
			going = name
			if err := broken.PowerCut(context.Background(), faults.LoseAll); err != nil {
				t.Error(err)
			}
		})
		_, err := prune.Run(t.Context(), w.open(broken), patient())
		if met = going != ""; met != errors.Is(err, faults.ErrStopped) {
			t.Fatalf("deletion %d, of %q: %v", n, going, err)
		}
		w.cache = tempDir(t)
		w.open(w.disk).EachBlob(func(id repository.ID, at repository.Location) bool {
			if at.Pack.Object() == going {
				t.Errorf("deletion %d: the index still says that %s is in %s", n, id, going)
			}
			return !t.Failed()
		})
		w.prune(prune.Options{DryRun: true}) // which fails when the index lacks what is needed
		if n == 0 && !met {
			t.Error("no pack was deleted")
		}
	}
}
