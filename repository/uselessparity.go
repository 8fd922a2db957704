package repository

import (
	"context"
	"maps"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository/parity"
)

// dropUseless deletes parity of nothing: of packs that are gone, and stripes that
// cannot be read while every pack is in another one. A loss of power leaves such, and
// whoever mends a stripe that a collector is about to replace. Packs are listed
// after their parity: each was there before. One that only the index names is lost, not
// deleted, and its parity is what brings it back.
func (r *Repository) dropUseless(ctx context.Context, set *stripeSet) (dropped bool, err error) {
	single, err := r.paritySizes(ctx)
	if err != nil {
		return false, err
	}
	there := map[PackID]bool{}
	err = r.eachPackObject(ctx, func(id PackID, _ int64) error {
		there[id] = true
		return nil
	})
	if err != nil {
		return false, err
	}
	gone := map[PackID]bool{}
	for id := range single {
		gone[id] = !there[id]
	}
	for id := range set.members {
		gone[id] = !there[id]
	}
	if len(set.bad) == 0 && !slices.Contains(slices.Collect(maps.Values(gone)), true) {
		return false, nil
	}
	if err := r.index.refresh(ctx); err != nil || r.index.damaged() > 0 {
		return false, err
	}
	for _, p := range r.indexedPacks() {
		there[p.ID] = true
		delete(gone, p.ID)
	}
	defer r.correct.forget()
	for id := range single {
		if gone[id] {
			if err := r.be.Delete(ctx, parity.Name(id)); err != nil {
				return true, err
			}
		}
	}
	return r.dropStripes(ctx, set, there, gone)
}

// dropStripes deletes the useless ones of stripes. What is there, and in no other
// stripe, gets one without the packs that are gone.
func (r *Repository) dropStripes(ctx context.Context, set *stripeSet, there, gone map[PackID]bool) (dropped bool, err error) {
	stale := set.stale(func(id PackID) bool { return gone[id] })
	for _, s := range set.all {
		if stale[s.object] == nil {
			continue
		}
		bare := slices.ContainsFunc(s.head.Members, func(m parity.Member) bool { return !gone[m.ID] && !set.covers(m.ID, stale) })
		if bare {
			err = r.shrink(ctx, s, gone)
		} else {
			err = r.be.Delete(ctx, s.object)
		}
		if err != nil {
			return true, fault.New("remove", s.object, err, "")
		}
	}
	for id := range there {
		if !set.covers(id, stale) {
			return len(stale) > 0, nil // it may be of what cannot be read
		}
	}
	for name, err := range set.bad {
		if !isDamage(err) {
			continue
		}
		if err := r.be.Delete(ctx, name); err != nil {
			return true, err
		}
	}
	return len(stale)+len(set.bad) > 0, nil
}
