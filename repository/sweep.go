package repository

import (
	"context"
	"slices"

	"mahavishnu/repository/condemn"
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
	for batch := range slices.Chunk(present, sweepBatch) {
		if err := c.delete(ctx, batch, &done); err != nil {
			return done, err
		}
		if progress != nil {
			progress(done.Packs)
		}
	}
	for _, list := range lists {
		if left[list.Name] {
			continue
		}
		if err := condemn.Remove(ctx, c.r.be, list.Name); err != nil {
			return done, err
		}
	}
	return done, nil
}

// delete removes packs, and before that what parity others have of them.
func (c *Collector) delete(ctx context.Context, packs []PackUse, done *Swept) error {
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
		if err := c.r.be.Delete(ctx, p.ID.Object()); err != nil {
			return err
		}
		done.Packs++
		done.Bytes += p.Size
	}
	return nil
}
