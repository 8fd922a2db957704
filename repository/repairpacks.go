package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository/pack"
	"mahavishnu/storage"
)

// repairReaders is how many packs are read at once.
const repairReaders = 2

// patient is a pack that is not right.
type patient struct {
	id        PackID
	found     error
	elsewhere error // why no replica mends it; nil when none was asked
}

// packs mends the packs.
func (x *repairer) packs(ctx context.Context) error {
	sizes, err := x.packSizes(ctx)
	if err != nil {
		return err
	}
	sick, err := x.examine(ctx, sizes)
	if err != nil {
		return err
	}
	x.broken = map[PackID]bool{}
	// A pack that is mended may be what another one of its stripe needs.
	for again := true; again && len(sick) > 0; {
		again = false
		var rest []patient
		for _, p := range sick {
			mended, err := x.mendPack(ctx, p)
			if err != nil {
				return err
			}
			if !mended {
				rest = append(rest, p)
			}
			again = again || mended
		}
		sick = rest
		x.r.correct.forget()
	}
	if sick, err = x.packsFromReplicas(ctx, sick); err != nil {
		return err
	}
	for _, p := range sick {
		if err := x.giveUp(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// packSizes returns the packs that are there or that the index knows, with their
// sizes in the storage; -1 for those that are missing.
func (x *repairer) packSizes(ctx context.Context) (map[PackID]int64, error) {
	sizes := map[PackID]int64{}
	for _, f := range x.r.index.fragments() {
		for n := range uint32(f.Packs()) {
			p, _ := f.Pack(n)
			sizes[p.ID] = -1
		}
	}
	err := x.r.eachPackObject(ctx, func(id PackID, size int64) error {
		sizes[id] = size
		return nil
	})
	return sizes, err
}

// examine returns the packs that are not right, in the order of their ids.
func (x *repairer) examine(ctx context.Context, sizes map[PackID]int64) ([]patient, error) {
	ids := slices.SortedFunc(maps.Keys(sizes), PackID.Compare)
	found := make([]error, len(ids))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(repairReaders)
	for i, id := range ids {
		if x.o.OnProgress != nil {
			x.o.OnProgress(i, len(ids))
		}
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			found[i] = x.examineOne(groupCtx, packObject{id, sizes[id]})
			if errors.Is(found[i], ErrUnreachable) {
				return fault.New("repair", id.Object(), found[i], "see that the storage can be read, then repair again")
			}
			return groupCtx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	var sick []patient
	for i, id := range ids {
		if x.reads(id) && sizes[id] > 0 {
			x.report.Packs++
			x.report.Bytes += sizes[id]
		}
		if found[i] != nil {
			sick = append(sick, patient{id: id, found: found[i]})
		}
	}
	return sick, nil
}

// reads tells whether a pack is read whole.
func (x *repairer) reads(id PackID) bool { return x.o.Packs || x.named[id.Object()] }

// examineOne returns what is wrong with a pack.
func (x *repairer) examineOne(ctx context.Context, o packObject) error {
	known, indexed := x.r.index.pack(o.id)
	switch {
	case o.size < 0:
		return ErrMissing
	case indexed && o.size != int64(known.Size):
		return fmt.Errorf("%w: it has %d bytes, the index says %d", ErrDamaged, o.size, known.Size)
	case o.size < pack.MinSize || o.size > pack.MaxSize:
		return damage(pack.ErrNotPack)
	case !x.reads(o.id), x.r.InCold(o.id):
		return nil
	}
	_, err := streamPack(ctx, x.r.be, &x.r.scratch, o)
	if errors.Is(err, storage.ErrNotFound) && !indexed {
		return nil // collected since it was listed
	}
	return x.r.reach.heard(ctx, o.id, err)
}

// mendPack writes a pack back, if parity makes it whole.
func (x *repairer) mendPack(ctx context.Context, p patient) (bool, error) {
	k, err := x.r.wholePack(ctx, p.id)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		return false, nil // told when nothing more can be mended
	}
	defer x.r.release(k)
	if k.by == "" {
		return true, nil // it can be read after all
	}
	x.mended = append(x.mended, p.id)
	return true, x.mend(ctx, Action{Object: p.id.Object(), Kind: ObjectPack, Found: p.found, By: k.by}, k.data)
}

// settle takes back what verifications noted about packs that are mended now, if
// all of their blobs are right: a blob may have been wrong before it was sealed.
func (x *repairer) settle(ctx context.Context) error {
	if x.r.Doubts() == 0 {
		return nil
	}
	var right []PackID
	for _, id := range x.mended {
		problem, err := x.r.CheckPack(ctx, id)
		if err != nil {
			return err
		}
		if problem == nil {
			right = append(right, id)
		}
	}
	return x.r.RecordDoubts(ctx, clock.Or(x.o.Clock).Now(), right)
}

// giveUp names a pack that cannot be mended, and what of it is lost.
func (x *repairer) giveUp(ctx context.Context, p patient) error {
	x.broken[p.id] = true
	_, err := x.r.wholePack(ctx, p.id)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	a := Action{Object: p.id.Object(), Kind: ObjectPack, Found: p.found, Left: err}
	if p.elsewhere != nil {
		a.Left = fmt.Errorf("%w; %w", err, p.elsewhere)
	}
	kind := KindData
	if known, ok := x.r.index.pack(p.id); ok {
		kind = known.Kind
	}
	for _, id := range x.r.blobsIn(p.id) {
		if _, err := x.r.Load(ctx, id, kind, nil); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			a.Blobs = append(a.Blobs, id)
		}
	}
	a.Harmless = len(a.Blobs) == 0
	x.did(a)
	return nil
}
