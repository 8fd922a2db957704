package histories

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
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
