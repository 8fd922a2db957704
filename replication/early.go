package replication

import (
	"context"
	"errors"
	"slices"

	"mahavishnu/repository"
)

// Knower has the key of the repository, and tells what takes it. With one, a target that is
// too small for everything shows the older snapshots that fit.
type Knower interface {
	// Packs returns which packs each part of the primary's index names: by the names of
	// the objects.
	Packs(ctx context.Context) (map[string][]string, error)
	// Whole tells whether everything that a snapshot of the primary needs is in the
	// replica, by walking it there: with the index and the packs that have arrived.
	Whole(ctx context.Context, snapshot string) (bool, error)
	// Close lets go of what it opened.
	Close() error
}

// showEarly shows snapshots in a replica that has no room for more, the oldest first, as
// far as each is whole there. Which packs a snapshot needs cannot be told without the key,
// nor guessed by times: packs that a collector made anew are younger than the snapshots
// that need them. So without a Knower nothing shows before everything has arrived.
func (r *run) showEarly(ctx context.Context) (err error) {
	if r.Know == nil || r.Shards > 1 {
		return nil
	}
	missing := r.unshown()
	if len(missing) == 0 {
		return nil
	}
	know, err := r.Know(ctx)
	if err != nil {
		return nil // whoever has no key goes without
	}
	defer func() { err = errors.Join(err, know.Close()) }()
	named, err := know.Packs(ctx)
	if err != nil {
		return err
	}
	if r.dst, err = takeAll(ctx, r.To); err != nil {
		return err
	}
	if err := stillReplica(ctx, r.To); err != nil {
		return err
	}
	if err := r.copyPairs(ctx, r.covered(named), r.dst.index); err != nil {
		return err
	}
	for _, name := range missing {
		whole, err := know.Whole(ctx, name)
		if err != nil {
			return err
		}
		if !whole {
			continue // another one may need less
		}
		if err := r.copyPair(ctx, name, r.src.snapshots[name], r.dst.snapshots); err != nil {
			return err
		}
	}
	return nil
}

// unshown names the snapshots that the replica lacks, the oldest first.
func (r *run) unshown() []string {
	var names []string
	for name := range r.src.snapshots {
		if _, shown := r.dst.snapshots[name]; !shown {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		at, _ := repository.SnapshotTime(a)
		bt, _ := repository.SnapshotTime(b)
		return at.Compare(bt)
	})
	return names
}

// covered returns the parts of the primary's index whose packs are all in the replica: no
// other part may come there.
func (r *run) covered(named map[string][]string) pairs {
	lacking := map[string]bool{}
	missing(r.src.packs, r.dst.packs, func(it item, _ int64) { lacking[it.key.render()] = true })
	there := pairs{}
	for name, p := range r.src.index {
		packs, known := named[name]
		if known && !slices.ContainsFunc(packs, func(pack string) bool {
			return lacking[pack] || !has(r.dst.packs, keyOf(pack))
		}) {
			there[name] = p
		}
	}
	return there
}
