package repository

import (
	"context"
	"errors"
	"slices"

	"mahavishnu/repository/condemn"
	"mahavishnu/storage"
)

// sweepBatch is how many packs are deleted between two looks whether the
// collector still has its turn.
const sweepBatch = 64

// Swept is what a sweep removed.
type Swept struct {
	Packs     int
	Bytes     int64
	Fragments Compacted
	// Left are packs of the lists that must stay, since something needed could
	// not be read from them.
	Left int
	// Retained are packs that the storage does not delete yet, of RetainedBytes.
	Retained      int
	RetainedBytes int64
}

// Sweep deletes the packs of lists for which nobody waits any more, and then the
// lists. Whatever is needed must be kept elsewhere, durably: the survey is from
// after the last of those waited for had ended, and everything it keeps nowhere
// has been rescued, except from the packs in spare, which stay. The order is:
// parts of the index that name these packs, parity, packs, lists.
func (c *Collector) Sweep(ctx context.Context, s *Survey, lists []Condemned, spare map[PackID]error, progress func(packs int)) (Swept, error) {
	var done Swept
	going := map[PackID]bool{}
	var present []PackUse
	left := map[string]bool{}
	for _, list := range lists {
		for _, id := range list.Packs {
			if spare[id] != nil {
				done.Left++
				left[list.Name] = true
				continue
			}
			if at, there := s.find(id); there && !going[id] {
				present = append(present, s.packs[at])
			}
			going[id] = true
		}
	}
	if err := c.lease.Check(ctx); err != nil {
		return done, err
	}
	var err error
	done.Fragments, err = c.Compact(ctx, s, CompactOptions{Dead: func(id PackID) bool { return going[id] }})
	if err != nil {
		return done, err
	}
	retained := map[PackID]bool{}
	for batch := range slices.Chunk(present, sweepBatch) {
		if err := c.delete(ctx, batch, &done, retained); err != nil {
			return done, err
		}
		if progress != nil {
			progress(done.Packs)
		}
	}
	for _, list := range lists {
		if left[list.Name] || slices.ContainsFunc(list.Packs, func(id PackID) bool { return retained[id] }) {
			continue
		}
		if err := condemn.Remove(ctx, c.r.be, list.Name); err != nil {
			return done, err
		}
	}
	return done, nil
}

// delete removes packs, and before that what parity others have of them. Those whose
// retention has not ended are added to retained.
func (c *Collector) delete(ctx context.Context, packs []PackUse, done *Swept, retained map[PackID]bool) error {
	if err := c.lease.Check(ctx); err != nil {
		return err
	}
	ids := make([]PackID, len(packs))
	for i, p := range packs {
		ids[i] = p.ID
	}
	if err := c.r.Unprotect(ctx, ids); err != nil {
		return err
	}
	for _, p := range packs {
		switch err := c.r.be.Delete(ctx, p.ID.Object()); {
		case errors.Is(err, storage.ErrRetained):
			retained[p.ID] = true
			done.Retained++
			done.RetainedBytes += p.Size
		case err != nil:
			return err
		default:
			done.Packs++
			done.Bytes += p.Size
		}
	}
	return nil
}
