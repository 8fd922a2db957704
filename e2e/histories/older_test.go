package histories

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/ledger"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
)

// Whoever has a key ring that is older than the last rotation reads what it opens,
// and neither stores nor deletes anything.
func TestOlderKeyRing(t *testing.T) {
	writes := map[string]func(context.Context, *repository.Repository, repository.Snapshot) error{
		"session": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			_, err := r.Session(ctx, repository.SessionOptions{Lease: lease.Options{TTL: leaseTTL}})
			return err
		},
		"backup": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			_, err := snapshot.Backup(ctx, r, snapshot.BackupOptions{Source: "s0", Path: ".", Type: snapshot.Full, Job: "late", JobTime: fileTime, Clock: clock.System()})
			return err
		},
		"prune": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			_, err := prune.Run(ctx, r, prune.Options{TTL: leaseTTL, Clock: clock.System(), Reseal: true})
			return err
		},
		"dry prune": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			_, err := prune.Run(ctx, r, prune.Options{TTL: leaseTTL, Clock: clock.System(), DryRun: true})
			return err
		},
		"verify": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			_, err := snapshot.Verify(ctx, r, snapshot.VerifyOptions{ReadData: 100})
			return err
		},
		"verify what is new": func(ctx context.Context, r *repository.Repository, snap repository.Snapshot) error {
			_, err := snapshot.Verify(ctx, r, snapshot.VerifyOptions{New: true, Snapshots: []repository.Snapshot{snap}})
			return err
		},
		"check": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			return r.CheckObjects(ctx, func(p repository.Problem) error { return p.Err })
		},
		"repair": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			_, err := r.Repair(ctx, repository.RepairOptions{Packs: true, Parity: true})
			return err
		},
		"verify and repair": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			_, err := snapshot.Repair(ctx, r, snapshot.VerifyOptions{ReadData: 100}, func(repository.Action) {})
			return err
		},
		"forget": func(ctx context.Context, r *repository.Repository, snap repository.Snapshot) error {
			return r.Forget(ctx, snap)
		},
		"delete": func(ctx context.Context, r *repository.Repository, snap repository.Snapshot) error {
			return r.DeleteSnapshot(ctx, snap)
		},
		"pin": func(ctx context.Context, r *repository.Repository, snap repository.Snapshot) error {
			return r.Pin(ctx, snap, repository.Keep{Reason: "audit"})
		},
		"unpin": func(ctx context.Context, r *repository.Repository, snap repository.Snapshot) error {
			return r.Unpin(ctx, snap)
		},
		"hold": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			return r.Hold(ctx, repository.Hold{Source: "s0", Name: "more", Keep: repository.Keep{Reason: "audit"}})
		},
		"release": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			return r.Release(ctx, "s0", "alarm")
		},
		"record": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			return r.RecordVerification(ctx, time.Now(), ledger.Ledger{})
		},
		"merge ledgers": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			return r.CompactLedger(ctx, time.Now())
		},
		"coverage": func(ctx context.Context, r *repository.Repository, _ repository.Snapshot) error {
			_, err := r.Ledger(ctx, time.Now()) // without its newest part it would say that much is not verified
			return err
		},
	}
	// What is newer, beside the ledger: each is enough.
	newer := map[string]func(*testing.T, *world){
		"everything": func(t *testing.T, w *world) { w.backupOf(t, 3, content{"d0/f0": 1, "d2/f0": 30}) },
		"the snapshot": func(t *testing.T, w *world) {
			w.backupOf(t, 3, content{"d0/f0": 1, "d0/f1": 2}) // that is stored already
		},
	}
	for what, add := range newer {
		for name, write := range writes {
			t.Run(what+"/"+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					w, ring, before := olderRing(t, add)
					for _, open := range []struct{ when, cache string }{{"late", ""}, {"with a cache", w.dir + "/look"}} {
						r, err := repository.Open(t.Context(), w.disk, ring, repository.OpenOptions{CacheDir: open.cache})
						if err != nil {
							t.Fatal(err)
						}
						snap := oldSnapshot(t, r, w)
						err = write(t.Context(), r, snap)
						if !errors.Is(err, keyring.ErrNoVersion) {
							t.Errorf("opened %s: %v, want ErrNoVersion", open.when, err)
						} else if !slices.ContainsFunc(fault.Hints(err), func(h string) bool { return strings.Contains(h, "use the newest one") }) {
							t.Errorf("opened %s: hints %q", open.when, fault.Hints(err))
						}
						unchanged(t, w, before)
						w.close(r)
					}
				})
			})
		}
	}
}

// oldSnapshot returns the first snapshot, which an older key ring finds and reads.
func oldSnapshot(t *testing.T, r *repository.Repository, w *world) repository.Snapshot {
	t.Helper()
	snaps, damaged, err := r.Snapshots(t.Context(), "")
	if err != nil || len(snaps) != 2 || len(damaged) != 1 || !errors.Is(damaged[0], keyring.ErrNoVersion) {
		t.Fatalf("%d snapshots, %v, %v", len(snaps), damaged, err)
	}
	for _, snap := range snaps {
		if err := w.attempts[snap.Attempt].content.restores(t.Context(), r, snap); err != nil {
			t.Fatalf("restore: %v", err)
		}
	}
	if holds, err := r.Holds(t.Context()); err != nil || len(holds) != 1 {
		t.Fatalf("%d holds, %v", len(holds), err)
	}
	if _, err := r.Pins(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.KeyUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	var problems []repository.Problem
	if _, err := repository.ScrubAll(t.Context(), w.disk, func(p repository.Problem) { problems = append(problems, p) }, func(int64) {}); err != nil || len(problems) > 0 {
		t.Fatalf("scrub: %v, %v", problems, err)
	}
	return snaps[0]
}

// olderRing makes a repository of two snapshots and a hold, and then rotates the key
// and adds what is newer. It returns the ring from before, and all that is stored.
func olderRing(t *testing.T, add func(*testing.T, *world)) (*world, *keyring.Ring, map[string][]byte) {
	t.Helper()
	w := newWorld(t, memoryDir(t))
	w.backupOf(t, 1, content{"d0/f0": 1, "d0/f1": 2})
	w.backupOf(t, 2, content{"d1/f0": 3})
	r := w.open()
	if err := r.Hold(t.Context(), repository.Hold{Source: "s0", Name: "alarm", Keep: repository.Keep{Reason: "ransom"}}); err != nil {
		t.Fatal(err)
	}
	w.close(r)
	ring := w.ring
	w.ring = ring.Rotated(fileTime.Add(time.Hour))
	add(t, w)
	w.verified() // notes it in a ledger
	return w, ring, w.disk.Objects()
}

// backupOf makes the snapshot of an attempt.
func (w *world) backupOf(t *testing.T, number int, c content) {
	t.Helper()
	r := w.open()
	defer w.close(r)
	if err := w.backupNow(t.Context(), r, number, c, "job-"+string(rune('0'+number))); err != nil {
		t.Fatal(err)
	}
}

// unchanged wants everything stored to be as it was, but for the sessions of
// readers.
func unchanged(t *testing.T, w *world, before map[string][]byte) {
	t.Helper()
	now := w.disk.Objects()
	for name, data := range before {
		if !bytes.Equal(now[name], data) {
			t.Errorf("%s was changed or deleted", name)
		}
	}
	for name := range now {
		if _, old := before[name]; !old && !strings.HasPrefix(name, "gc/sessions/") {
			t.Errorf("%s was stored", name)
		}
	}
}
