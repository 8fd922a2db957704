package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository/ledger"
)

// ErrLost means that a snapshot is gone that nobody has forgotten.
var ErrLost = errors.New("the snapshot is gone with its second copy, and nobody has forgotten it")

// lost returns the snapshots that were seen once, were not forgotten, and are
// not there.
func (r *Repository) lost(ctx context.Context, now time.Time) ([]ledger.Fate, error) {
	before, err := r.Ledger(ctx, now)
	if err != nil {
		return nil, err
	}
	refs, _, err := r.listSnapshots(ctx, "")
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, ref := range refs {
		there[ref.object] = true
	}
	missing := slices.DeleteFunc(before.Fates, func(f ledger.Fate) bool {
		_, isName := parseSnapshotObject(f.Name)
		return f.Seen == 0 || f.Forgotten > 0 || there[f.Name] || !isName
	})
	if len(missing) == 0 {
		return nil, nil
	}
	// Who forgets a snapshot notes it before it goes. So what was forgotten
	// between reading the ledger and listing is noted by now.
	after, err := r.Ledger(ctx, now)
	return slices.DeleteFunc(missing, func(f ledger.Fate) bool { return after.Fate(f.Name).Forgotten > 0 }), err
}

// AcceptLoss notes that a snapshot which was lost is not missed any more. The
// error wraps ErrNoSnapshot when none of that id was lost.
func (r *Repository) AcceptLoss(ctx context.Context, now time.Time, id string) error {
	missing, err := r.lost(ctx, now)
	if err != nil {
		return err
	}
	for _, f := range missing {
		if ref, _ := parseSnapshotObject(f.Name); ref.id == id {
			return r.noteForgotten(ctx, []string{f.Name})
		}
	}
	return fault.New("accept the loss of snapshot", id, ErrNoSnapshot, "give the whole id of one that `mahavishnu verify` names as gone")
}

// Missed notes that these snapshots were there, so that they are missed from now on:
// Repair looks for them in copies, and a check names them.
func (r *Repository) Missed(ctx context.Context, now time.Time, snaps []Snapshot) error {
	return r.noteFates(ctx, snaps, func(f *ledger.Fate) { f.Seen = now.Unix() })
}

// LetGo notes of snapshots that are lost that they are not missed any more. Other than
// forgetting them it leaves what copies have of them there.
func (r *Repository) LetGo(ctx context.Context, now time.Time, snaps []Snapshot) error {
	return r.noteFates(ctx, snaps, func(f *ledger.Fate) { f.Forgotten = now.Unix() })
}

func (r *Repository) noteFates(ctx context.Context, snaps []Snapshot, note func(*ledger.Fate)) error {
	if len(snaps) == 0 {
		return nil
	}
	fates := make([]ledger.Fate, len(snaps))
	for i, s := range snaps {
		fates[i].Name = snapshotObject(s.Source, s.Time, s.ID)
		note(&fates[i])
	}
	return r.Record(ctx, ledger.New(nil, fates))
}

// Lost returns the snapshots that are gone although nobody forgot them.
func (r *Repository) Lost(ctx context.Context, now time.Time) (all []Snapshot, err error) {
	missing, err := r.lost(ctx, now)
	for _, f := range missing {
		ref, _ := parseSnapshotObject(f.Name)
		all = append(all, Snapshot{Source: ref.source, Time: ref.time, ID: ref.id})
	}
	return all, err
}

// lostSnapshots names snapshots that vanished.
func (c *checker) lostSnapshots(ctx context.Context) error {
	missing, err := c.r.lost(ctx, c.now)
	if err != nil {
		return c.listed(err)
	}
	for _, f := range missing {
		seen := time.Unix(f.Seen, 0).UTC().Format("2 January 2006 15:04 UTC")
		if err := c.report(Problem{Object: f.Name, Kind: ObjectSnapshot, Err: fmt.Errorf("%w: it was there on %s", ErrLost, seen)}); err != nil {
			return err
		}
	}
	return nil
}

// ledgers checks both copies of every ledger and every list of doubts. What they
// tell makes up for nothing, so their loss harms nothing.
func (c *checker) ledgers(ctx context.Context) error {
	objects, err := c.r.readLedgers(ctx)
	if err := c.listed(err); err != nil {
		return err
	}
	c.learned.Ledger = joined(objects, c.now)
	return c.doubled(ctx, ledgerPrefix, ObjectLedger, true)
}

// isLedgerObject tells the names of ledgers and doubts from others.
func isLedgerObject(name string) bool {
	rest, ok := strings.CutPrefix(name, ledgerPrefix)
	return ok && isHex(strings.TrimPrefix(rest, "bad-"), 32)
}
