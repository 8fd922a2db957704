package repository

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/repository/ledger"
)

// CheckSnapshot checks what one snapshot stands on, at a cost that depends on
// nothing else: both copies of the configuration, both of the snapshot, and
// the fragments that it wrote, as far as they are in use. It returns the packs that the
// snapshot's backup stored or took over; complete is false when a fragment that would
// tell more was merged into another, or lost. Refresh before, unless this process has
// just made the snapshot.
func (r *Repository) CheckSnapshot(ctx context.Context, snap Snapshot, fn func(Problem) error) (stored []PackID, complete bool, err error) {
	if err := r.mayJudge(ctx, "check"); err != nil {
		return nil, false, err
	}
	c := &checker{r: r, fn: fn, fragments: map[string]bool{}}
	for _, place := range r.sight.lacks("") {
		if err := c.listed(place); err != nil {
			return nil, false, err
		}
	}
	if err := c.configs(ctx); err != nil {
		return nil, false, err
	}
	if _, err := c.snapshot(ctx, snapshotObject(snap.Source, snap.Time, snap.ID)); err != nil {
		return nil, false, err
	}
	complete = true
	for _, name := range snap.Stored {
		fragments := r.index.fragments()
		i := slices.IndexFunc(fragments, func(f *fragment) bool { return f.name == name })
		if i < 0 {
			complete = false
			continue
		}
		there, err := c.fragment(ctx, name)
		if err == nil && !there {
			there, err = c.fragmentCame(ctx, name) // or was merged, since
			if err == nil && !there {
				err = c.trouble(ctx, name, ObjectIndex, ErrMissing)
			}
		}
		if err != nil {
			return nil, false, err
		}
		for n := range uint32(fragments[i].Packs()) {
			p, _ := fragments[i].Pack(n)
			stored = append(stored, p.ID)
		}
	}
	return stored, complete, nil
}

// CheckTables checks that packs are there and that the table of each can be read and is
// the one that the index has: one small read a pack. packs are their sizes in the storage;
// of one that is not there, or not known to be, that which the index says.
func (r *Repository) CheckTables(ctx context.Context, packs map[PackID]int64, fn func(Problem) error) error {
	c := &checker{r: r, fn: fn}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(checkers)
	for id, size := range packs {
		if known, ok := r.index.pack(id); ok && size < 0 {
			size = int64(known.Size)
		}
		group.Go(func() error { return c.pack(groupCtx, packObject{id, size}) })
	}
	return cmpError(group.Wait(), context.Cause(ctx))
}

// PackSize returns the size of a pack by asking the storage; storage.ErrNotFound
// when it is not there, ErrUnreadable when the storage does not say.
func (r *Repository) PackSize(ctx context.Context, id PackID) (int64, error) {
	info, err := r.be.Stat(ctx, id.Object())
	return info.Size, readCause(ctx, err)
}

// IndexedPacks is how many packs the index knows, those in several fragments
// as often.
func (r *Repository) IndexedPacks() int {
	n := 0
	for _, f := range r.index.fragments() {
		n += f.Packs()
	}
	return n
}

// Seen returns what to record of snapshots that were found.
func Seen(at time.Time, snaps []Snapshot) []ledger.Fate {
	var fates []ledger.Fate
	for _, s := range snaps {
		fates = append(fates, ledger.Fate{Name: snapshotObject(s.Source, s.Time, s.ID), Seen: at.Unix()})
	}
	return fates
}

// RecordVerification adds to the ledger what a verification found, and merges
// ledgers when there are many.
func (r *Repository) RecordVerification(ctx context.Context, now time.Time, l ledger.Ledger) error {
	if err := r.mayChange(ctx, "record verification in"); err != nil {
		return err
	}
	if err := r.Record(ctx, l); err != nil {
		return err
	}
	return r.mergeSome(ctx, now)
}
