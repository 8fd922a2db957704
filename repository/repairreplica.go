package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/clock"
	"mahavishnu/repository/index"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// Replica is a place that holds the objects of a repository as they are, like the
// one that another region keeps.
type Replica struct {
	// Name is what people call it.
	Name    string
	Backend storage.Backend
}

// fetch returns an object from the first replica that has it whole and, as far as
// keys can tell, the very one: a replica is trusted no more than the storage is.
func (x *repairer) fetch(ctx context.Context, object string) ([]byte, error) {
	var failures []error
	for _, replica := range x.o.Replicas {
		limit := int64(maxSmallSize)
		if KindOf(object) == ObjectPack {
			limit = pack.MaxSize
		}
		data, err := storage.ReadAll(ctx, replica.Backend, object, limit, nil)
		if err == nil {
			err = ScrubBytes(object, data)
		}
		if err == nil {
			err = x.vouch(object, data)
		}
		if err == nil {
			return data, nil
		}
		failures = append(failures, fmt.Errorf("replica %s: %w", replica.Name, gone(readCause(ctx, err))))
	}
	return nil, errors.Join(failures...)
}

// vouch tells whether data is what was stored under a name: sealed by a key of this
// repository for that place, and of a pack each blob that the index looks for there.
func (x *repairer) vouch(object string, data []byte) error {
	id, isPack := parsePackObject(object)
	if !isPack {
		_, err := x.r.keys.Open(seal.TypeOf(data), strings.TrimPrefix(object, copyPrefix), slices.Clone(data))
		return damage(err)
	}
	known, indexed := x.r.index.pack(id)
	if indexed && int64(known.Size) != int64(len(data)) {
		return fmt.Errorf("%w: it has %d bytes, the index says %d", ErrDamaged, len(data), known.Size)
	}
	entries, _, err := x.r.scan(id, data)
	if err != nil {
		return damage(err)
	}
	there := map[ID]index.Entry{}
	for _, e := range indexEntries(entries) {
		there[e.ID] = e
	}
	for _, blob := range x.r.blobsIn(id) {
		if _, ok := there[blob]; !ok {
			return fmt.Errorf("%w: it lacks blob %s", ErrDamaged, blob)
		}
	}
	return nil
}

// packsFromReplicas mends packs that nothing here makes whole, and returns those
// that no replica has either.
func (x *repairer) packsFromReplicas(ctx context.Context, sick []patient) (rest []patient, err error) {
	if len(x.o.Replicas) == 0 {
		return sick, nil
	}
	for _, p := range sick {
		if _, indexed := x.r.index.pack(p.id); !indexed {
			rest = append(rest, p) // nothing needs it
			continue
		}
		data, err := x.fetch(ctx, p.id.Object())
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			p.elsewhere = err
			rest = append(rest, p)
			continue
		}
		x.mended = append(x.mended, p.id)
		a := Action{Object: p.id.Object(), Kind: ObjectPack, Found: p.found, By: ByReplica}
		if err := x.mend(ctx, a, data); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// twiceFromReplicas mends a small object both objects of which are lost, and tells
// whether it did. Either object of the replica will do.
func (x *repairer) twiceFromReplicas(ctx context.Context, a Action, first, second one) (bool, error) {
	if len(x.o.Replicas) == 0 || !first.lost() || !second.lost() {
		return false, nil // what cannot be read now may be read another time
	}
	data, err := x.fetch(ctx, a.Object)
	if err != nil && ctx.Err() == nil {
		data, err = x.fetch(ctx, copyOf(a.Object))
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		return false, nil //nolint:nilerr // it stays as it is, and that is told
	}
	a.By = ByReplica
	if err := x.write(ctx, copyOf(a.Object), data); err != nil {
		return false, err
	}
	return true, x.mend(ctx, a, data)
}

// lostSnapshots brings back snapshots that vanished with their second copies and
// that nobody has forgotten.
func (x *repairer) lostSnapshots(ctx context.Context) error {
	if len(x.o.Replicas) == 0 {
		return nil
	}
	missing, err := x.r.lost(ctx, clock.Or(x.o.Clock).Now())
	if err != nil {
		return err
	}
	for _, fate := range missing {
		a := Action{Object: fate.Name, Kind: ObjectSnapshot, Found: ErrLost}
		none := one{err: storage.ErrNotFound}
		mended, err := x.twiceFromReplicas(ctx, a, none, none)
		if err != nil {
			return err
		}
		if !mended {
			a.Left = errors.New("no replica has it")
			x.did(a)
			continue
		}
		if err := x.fragmentsOf(ctx, fate.Name); err != nil {
			return err
		}
	}
	return nil
}

// fragmentsOf brings back the parts of the index that a snapshot relies on, which was
// brought back itself: they name the packs that are to be looked for next. What no replica
// has is left to those who make the index from packs.
func (x *repairer) fragmentsOf(ctx context.Context, object string) error {
	snap, _, err := x.r.readSnapshot(ctx, object)
	if err != nil {
		return nil //nolint:nilerr // it was written and compared; whoever checks it tells
	}
	for _, name := range snap.Index {
		if x.r.index.standsIn(name) {
			continue
		}
		none := one{err: storage.ErrNotFound}
		for _, place := range []string{name, copyOf(name)} {
			if _, err := x.r.be.Stat(ctx, place); !errors.Is(err, storage.ErrNotFound) {
				none.err = err
			}
		}
		if !errors.Is(none.err, storage.ErrNotFound) {
			continue // it is there, or nobody can say
		}
		if _, err := x.twiceFromReplicas(ctx, Action{Object: name, Kind: ObjectIndex, Found: ErrMissing}, none, none); err != nil {
			return err
		}
	}
	return nil
}
