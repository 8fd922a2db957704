package snapshot

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"math"
	"slices"

	"mahavishnu/repository"
	"mahavishnu/storage"
)

// fewPacks is how many packs are listed without a thought. With more of them a
// verification of what is new asks for the ones that it needs.
const fewPacks = 4096

// list notes the packs that are there.
func (v *verifier) list(packs []repository.PackInfo) {
	for _, p := range packs {
		v.sizes[p.ID] = p.Size
	}
	v.listed = true
}

// look learns which packs are there, and what was verified when.
func (v *verifier) look(ctx context.Context) (err error) {
	// Without the ledger everything is taken for never verified.
	v.learned.Ledger, err = v.repo.Ledger(ctx, v.o.Clock.Now())
	if err != nil && !errors.Is(err, repository.ErrUnlisted) {
		return err
	}
	err = v.repo.Packs(ctx, func(p repository.PackInfo) error {
		v.learned.Packs = append(v.learned.Packs, p)
		return nil
	})
	v.list(v.learned.Packs)
	if blind := (*repository.UnlistedError)(nil); errors.As(err, &blind) {
		v.listed = false
		v.unlisted(blind)
		return nil
	}
	return err
}

// size returns the size of a pack that is there.
func (v *verifier) size(ctx context.Context, id repository.PackID) (n int64, there bool, err error) {
	v.mu.Lock()
	n, known := v.sizes[id]
	v.mu.Unlock()
	if !known && v.listed {
		return 0, false, nil
	}
	if known {
		return n, n >= 0, nil
	}
	n, err = v.repo.PackSize(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		n, err = -1, nil
	}
	if err != nil {
		return 0, false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sizes[id] = n
	return n, n >= 0, nil
}

// choose returns the packs to read.
func (v *verifier) choose(ctx context.Context, snaps []repository.Snapshot) ([]repository.PackID, error) {
	if v.o.Oldest > 0 {
		return v.oldest(false), nil
	}
	if v.o.ReadData == 0 {
		return nil, nil
	}
	if v.o.Snapshots != nil {
		packs, err := v.needed(ctx, snaps)
		return choosePacks(packs, v.o.ReadData, v.o.Seed), err
	}
	packs := make([]repository.PackID, len(v.learned.Packs))
	for i, p := range v.learned.Packs {
		packs[i] = p.ID
	}
	return choosePacks(packs, v.o.ReadData, v.o.Seed), nil
}

// oldest returns indexed packs within the byte budget: those that never were
// verified, newest first, for the next backup relies on them; then the others,
// the one that waits longest first. all takes every pack that never was verified,
// whatever the budget.
func (v *verifier) oldest(all bool) []repository.PackID {
	now := v.o.Clock.Now()
	type candidate struct {
		repository.PackInfo
		verified, since int64
	}
	var list []candidate
	for _, p := range v.learned.Packs {
		c := candidate{p, v.learned.Ledger.Mark(p.ID).Verified(), v.repo.WaitsSince(p, v.learned.Ledger, now)}
		if p.Indexed && (c.verified == 0 || now.Unix()-c.verified >= int64(v.o.MinAge.Seconds())) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		switch {
		case a.verified == 0 && b.verified == 0:
			return cmp.Or(cmp.Compare(b.since, a.since), a.ID.Compare(b.ID))
		case a.verified == 0 || b.verified == 0:
			return cmp.Compare(a.verified, b.verified)
		}
		return cmp.Or(cmp.Compare(a.since, b.since), a.ID.Compare(b.ID))
	})
	budget := v.o.Oldest
	var chosen []repository.PackID
	for _, c := range list {
		if budget <= 0 && (!all || c.verified > 0) {
			break
		}
		budget -= c.Size
		chosen = append(chosen, c.ID)
	}
	return chosen
}

// choosePacks takes a share of the packs, rounded up, by an order that depends
// on nothing but the seed.
func choosePacks(packs []repository.PackID, percent float64, seed uint64) []repository.PackID {
	rank := func(id repository.PackID) uint64 {
		h := fnv.New64a()
		for i := range 8 {
			_, _ = h.Write([]byte{byte(seed >> (8 * i))}) // never fails
		}
		_, _ = h.Write(id[:])
		x := h.Sum64()
		// FNV mixes its last bytes weakly (splitmix64's finalizer).
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	slices.SortFunc(packs, func(a, b repository.PackID) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Compare(b)) })
	n := int(math.Ceil(float64(len(packs)) * percent / 100))
	return packs[:min(n, len(packs))]
}

// inStorageOrder puts packs in the order in which a disk is likely to hold them:
// by the day they were stored. Within a day random ids decide, so that one bad
// part of a disk does not look like a storage that is out of reach.
func (v *verifier) inStorageOrder(packs []repository.PackID) {
	const day = 24 * 60 * 60
	stored := map[repository.PackID]int64{}
	for _, p := range v.learned.Packs {
		stored[p.ID] = p.Stored / day
	}
	slices.SortFunc(packs, func(a, b repository.PackID) int {
		return cmp.Or(cmp.Compare(stored[a], stored[b]), a.Compare(b))
	})
}
