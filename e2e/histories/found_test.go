package histories

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
	"mahavishnu/storage/faults"
)

// A repair leaves alone what a compaction of the index has replaced: snapshots
// name those fragments still.
func TestRepairAfterCompaction(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, memoryDir(t))
		for i := range 12 {
			r := w.open()
			if err := w.backupNow(t.Context(), r, i+1, content{"d0/f0": uint64(i + 1)}, fmt.Sprint("job-", i)); err != nil {
				t.Fatal(err)
			}
			w.close(r)
		}
		w.pruneNow()
		before := w.disk.Objects()
		w.repairNow()
		w.same("a repair with nothing to repair", before)
	})
}

// Whoever has an older key ring must not merge away ledgers it cannot read: what a
// newer one noted as forgotten would look lost.
func TestOldRingLeavesLedgersAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, memoryDir(t))
		old := w.open()
		defer w.close(old)
		if err := w.backupNow(t.Context(), old, 1, content{"d0/f0": 1}, "job"); err != nil {
			t.Fatal(err)
		}
		w.verified() // sees the snapshot

		w.ring = w.ring.Rotated(fileTime)
		r := w.open()
		defer w.close(r)
		snaps, _, err := r.Snapshots(t.Context(), "")
		if err != nil || len(snaps) != 1 {
			t.Fatalf("%d snapshots, %v", len(snaps), err)
		}
		if err := r.DeleteSnapshot(t.Context(), snaps[0]); err != nil {
			t.Fatal(err)
		}
		if err := old.CompactLedger(t.Context(), time.Now()); !errors.Is(err, keyring.ErrNoVersion) {
			t.Errorf("compacting with the old ring: %v, want ErrNoVersion", err)
		}
		w.verified()
	})
}

// A snapshot that was forgotten stays so when the power goes: that its session is
// done is durable before anybody relies on it.
func TestForgottenStaysForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, memoryDir(t))
		disk := faults.Wrap(w.disk)
		r, err := repository.Open(t.Context(), disk, w.ring, repository.OpenOptions{CacheDir: w.dir + "/cache"})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.backupNow(t.Context(), r, 1, content{"d0/f0": 1}, "job"); err != nil {
			t.Fatal(err)
		}
		snaps, _, err := r.Snapshots(t.Context(), "")
		if err != nil || len(snaps) != 1 {
			t.Fatalf("%d snapshots, %v", len(snaps), err)
		}
		if err := r.DeleteSnapshot(t.Context(), snaps[0]); err != nil {
			t.Fatal(err)
		}
		w.close(r)
		if err := disk.PowerCut(t.Context(), faults.LoseAll); err != nil {
			t.Fatal(err)
		}
		w.attempts[1].forgotten, w.attempts[1].gone = true, true
		w.patience()
		w.pruneNow()
		w.check()
	})
}

// A repair with an older key ring takes nothing for damaged that a newer one sealed.
func TestOldRingRepairsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, memoryDir(t))
		old := w.open()
		defer w.close(old)
		w.ring = w.ring.Rotated(fileTime)
		r := w.open()
		defer w.close(r)
		if err := w.backupNow(t.Context(), r, 1, content{"d0/f0": 1}, "job"); err != nil {
			t.Fatal(err)
		}
		before := w.disk.Objects()
		if _, err := old.Repair(t.Context(), repository.RepairOptions{Packs: true, Parity: true}); !errors.Is(err, keyring.ErrNoVersion) {
			t.Errorf("repair with the old ring: %v, want ErrNoVersion", err)
		}
		w.same("a repair with the old ring", before)
		w.check()
	})
}

// A repair beside a backup leaves alone what is stored while it looks.
func TestRepairBesideBackup(t *testing.T) {
	for n := range 120 {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.cache = faults.Wrap(w.disk)
			ended := func(err error) {
				if err != nil {
					t.Error(err)
				}
			}
			repair := w.start("repair", func(ctx context.Context, a *actor) (err error) {
				r, err := w.openAs(ctx, a, w.ring)
				if err != nil {
					return err
				}
				defer closing(r, &err)
				_, err = r.Repair(ctx, repository.RepairOptions{})
				return err
			}, ended)
			for range n {
				w.step(repair, (*faults.Step).Go)
			}
			r := w.open()
			if err := w.backupNow(t.Context(), r, 1, content{"d0/f0": 1, "d1/f0": 2}, "job"); err != nil {
				t.Fatal(err)
			}
			w.close(r)
			w.finish()
			w.check()
			w.verified()
		})
	}
}

// A repair that read a stripe before a prune took packs out of it, and puts it again
// before the prune has deleted those packs, leaves something of no use to the next prune, not for ever.
func TestRepairBesidePrune(t *testing.T) {
	for n, through := 0, false; !through; n++ {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.cache = faults.Wrap(w.disk)
			r := w.open()
			for i, c := range []content{{"d0/f0": 1, "d0/f1": 2}, {"d1/f0": 3}} {
				if err := w.backupNow(t.Context(), r, i+1, c, fmt.Sprint("job-", i)); err != nil {
					t.Fatal(err)
				}
			}
			w.close(r)
			repair := w.start("repair", func(ctx context.Context, a *actor) (err error) {
				r, err := w.openAs(ctx, a, w.ring)
				if err != nil {
					return err
				}
				defer closing(r, &err)
				_, err = r.Repair(ctx, repository.RepairOptions{Packs: true, Parity: true})
				return err
			}, func(error) {}) // what it takes for lost is gone
			for range n {
				through = !w.step(repair, (*faults.Step).Go)
			}
			w.forgetNow(1)
			p := w.pruneBeside(t)
			for !slices.ContainsFunc(w.stage.WaitingOf(p.Actor), func(s *faults.Step) bool {
				return s.Op == faults.Delete && strings.HasPrefix(s.Name, "packs/")
			}) {
				w.step(p, (*faults.Step).Go)
			}
			for w.step(repair, (*faults.Step).Go) {
			}
			w.finish()
			w.check()
			w.pruneNow()
			before := w.disk.Objects()
			w.repairNow()
			w.same(fmt.Sprint("a repair after one that paused at operation ", n), before)
		})
	}
}

// forgetNow forgets the snapshot of an attempt.
func (w *world) forgetNow(number int) {
	r := w.open()
	defer w.close(r)
	snaps, _, err := r.Snapshots(context.Background(), "")
	if err != nil {
		w.fail("list snapshots: %v", err)
	}
	for _, snap := range snaps {
		if snap.Attempt != number {
			continue
		}
		if err := r.DeleteSnapshot(context.Background(), snap); err != nil {
			w.fail("forget: %v", err)
		}
		w.attempts[number].forgotten = true
	}
}

// What a loss of power leaves of the parity of packs that are gone is gone after a
// prune, and is no damage.
func TestPowerCutLeavesParity(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, memoryDir(t))
		disk := faults.Wrap(w.disk)
		r := w.open()
		if err := w.backupNow(t.Context(), r, 1, content{"d0/f0": 1}, "job-1"); err != nil {
			t.Fatal(err)
		}
		w.close(r)
		before := w.disk.Objects()
		r, err := repository.Open(t.Context(), disk, w.ring, repository.OpenOptions{CacheDir: w.dir + "/cache"})
		if err != nil {
			t.Fatal(err)
		}
		disk.On(faults.Put).Under("index/").Times(-1).Fail(errStorage)
		big := content{"d0/f0": 2, "d0/f1": 3, "d0/f2": 4, "d0/f3": 5, "d1/f0": 6, "d1/f1": 7, "d1/f2": 8, "d1/f3": 9}
		if err := w.backupNow(t.Context(), r, 2, big, "job-2"); !errors.Is(err, errStorage) {
			t.Fatal(err)
		}
		w.close(r)
		stripes := 0
		for name, data := range w.disk.Objects() {
			if _, old := before[name]; old {
				continue
			}
			switch {
			case strings.HasPrefix(name, "packs/"):
				w.disk.Set(name, nil)
			case strings.HasPrefix(name, "parity/stripes/") && stripes == 0:
				stripes++
				w.disk.Set(name, make([]byte, len(data)))
			}
		}
		if stripes != 1 {
			t.Fatal("no stripe was stored")
		}
		w.patience()
		w.pruneNow()
		w.noGarbage()
		w.verified()
		before = w.disk.Objects()
		w.repairNow()
		w.same("a repair", before)
	})
}

// A verification that lists a pack which a collection deletes before it is read, since
// it was condemned before the verification began, takes that for no damage.
func TestVerifyBesideSweep(t *testing.T) {
	t.Run("all", func(t *testing.T) { verifyBesideSweep(t, false) })
	t.Run("one snapshot", func(t *testing.T) { verifyBesideSweep(t, true) })
}

func verifyBesideSweep(t *testing.T, one bool) {
	for n, through := 0, false; !through; n++ {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.cache = faults.Wrap(w.disk)
			r := w.open()
			for i, c := range []content{{"d0/f0": 1, "d0/f1": 2}, {"d1/f0": 3}} {
				if err := w.backupNow(t.Context(), r, i+1, c, fmt.Sprint("job-", i)); err != nil {
					t.Fatal(err)
				}
			}
			w.forgetNow(1)
			reader, err := r.Reader(t.Context(), lease.Options{TTL: leaseTTL, Clock: clock.System()})
			if err != nil {
				t.Fatal(err)
			}
			p := w.pruneBeside(t)
			for w.step(p, (*faults.Step).Go) { // until it waits for the reader
			}
			if err := reader.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.close(r)
			v := w.start("verify", func(ctx context.Context, a *actor) (err error) {
				r, err := w.openAs(ctx, a, w.ring)
				if err != nil {
					return err
				}
				defer closing(r, &err)
				o := snapshot.VerifyOptions{ReadData: 100, Clock: a.clock}
				if snaps, _, err := r.Snapshots(ctx, ""); err == nil && one {
					o.Snapshots = snaps
				}
				_, err = snapshot.Verify(ctx, r, o)
				return err
			}, func(err error) {
				if err != nil {
					t.Errorf("one that paused at operation %d: %v", n, err)
				}
			})
			for range n {
				through = !w.step(v, (*faults.Step).Go)
			}
			for p.running.Load() {
				if !w.step(p, (*faults.Step).Go) {
					w.pass(time.Second)
				}
			}
			w.finish()
			w.check()
		})
	}
}

// pruneBeside starts a prune that must end well.
func (w *world) pruneBeside(t *testing.T) *actor {
	return w.startPrune(func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
}

func (w *world) startPrune(ended func(error)) *actor {
	return w.start("prune", func(ctx context.Context, a *actor) (err error) {
		r, err := w.openAs(ctx, a, w.ring)
		if err != nil {
			return err
		}
		defer closing(r, &err)
		_, err = prune.Run(ctx, r, prune.Options{Wait: time.Hour, TTL: leaseTTL, Clock: a.clock})
		return err
	}, ended)
}

// A fragment of the index that a prune had replaced, and that it did not come to
// delete, stays replaced when the next prune replaces what stands in for it.
func TestPruneKilledWhileItCompacts(t *testing.T) {
	for n, through := 0, false; !through; n++ {
		inBubble(t, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.cache = faults.Wrap(w.disk)
			for i, c := range []content{{"d0/f0": 1, "d0/f1": 2}, {"d0/f0": 1, "d1/f0": 3}, {"d0/f0": 1, "d1/f0": 3, "d2/f0": 4}, {"d2/f0": 5}} {
				w.backupOf(t, i+1, c)
			}
			w.forgetNow(1)
			p := w.startPrune(func(error) {})
			for deletions := -1; p.running.Load(); {
				if slices.ContainsFunc(w.stage.WaitingOf(p.Actor), func(s *faults.Step) bool {
					return s.Op == faults.Delete && strings.HasPrefix(s.Name, "index/")
				}) {
					deletions++
				}
				if deletions == n {
					break
				}
				w.step(p, (*faults.Step).Go)
			}
			through = !p.running.Load()
			w.kill(w.actors...)
			w.forgetNow(2)
			w.forgetNow(3)
			w.pruneNow()
			w.noGarbage()
			w.check()
		})
	}
}
