package repository

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"mahavishnu/repository/lease"
)

// forgetters is how many snapshots are forgotten at the same time. Forgetting is
// a dozen steps one after the other that each wait for the disk, which serves many
// that wait at once nearly as fast as one.
const forgetters = 16

// ForgetAll removes snapshots as Forget does, several at the same time and with one
// note in the ledger for all. It returns an error for each, nil for those that
// are gone.
func (r *Repository) ForgetAll(ctx context.Context, snaps []Snapshot) []error {
	errs := make([]error, len(snaps))
	err := r.mayChange(ctx, "forget snapshot")
	names := make([]string, len(snaps))
	for i, s := range snaps {
		names[i], errs[i] = snapshotObject(s.Source, s.Time, s.ID), err
	}
	each(errs, func(i int) error { return r.unpinned(ctx, snaps[i]) })
	r.deleteSnapshots(ctx, names, errs)
	return errs
}

// deleteSnapshots removes the snapshots of these names of which errs says nothing
// yet, and notes there what fails. DeleteSnapshot says why in this order.
func (r *Repository) deleteSnapshots(ctx context.Context, names []string, errs []error) {
	var going []string
	for i, name := range names {
		if errs[i] == nil {
			going = append(going, name)
		}
	}
	if len(going) == 0 {
		return
	}
	all := func(err error) {
		each(errs, func(int) error { return err })
	}
	defer func() {
		if err := r.refill(ctx); err != nil {
			errs[len(errs)-1] = errors.Join(errs[len(errs)-1], err)
		}
	}()
	ctx = spend(ctx)
	// Without the note, their absence would mean that they were lost.
	if err := r.noteForgotten(ctx, going); err != nil {
		all(err)
		return
	}
	each(errs, func(i int) error { return r.putMark(ctx, names[i], markPending) })
	claims, err := lease.NewStore(r.be, r.keys).Claims(ctx)
	if err != nil {
		all(err)
		return
	}
	each(errs, func(i int) error { return r.settleMark(ctx, names[i], claims.Has(names[i])) })
}

// each calls fn for every place of errs that has no error, several at the same
// time, and puts there what it returns.
func each(errs []error, fn func(i int) error) {
	var group errgroup.Group
	group.SetLimit(forgetters)
	for i, err := range errs {
		if err != nil {
			continue
		}
		group.Go(func() error {
			errs[i] = fn(i)
			return nil
		})
	}
	_ = group.Wait() // what fails is in errs
}
