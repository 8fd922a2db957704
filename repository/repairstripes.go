package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"mahavishnu/storage"
)

// stripes makes stripes right again, and new ones of packs that are in none.
func (x *repairer) stripes(ctx context.Context) error {
	if x.r.cfg.Parity.Stripe == 0 {
		return nil
	}
	set, err := x.r.readStripes(ctx)
	if err != nil {
		return err
	}
	stale, err := x.r.staleStripes(ctx, set)
	if err != nil {
		return err
	}
	slices.SortFunc(set.all, func(a, b *stripe) int { return cmp.Compare(a.object, b.object) })
	covered := map[PackID]bool{}
	for _, s := range set.all {
		if stale[s.object] != nil {
			continue
		}
		ok, err := x.stripe(ctx, s)
		if err != nil {
			return err
		}
		for _, m := range s.head.Members {
			covered[m.ID] = covered[m.ID] || ok
		}
	}
	maps.Copy(stale, set.bad)
	bare := slices.DeleteFunc(x.indexed(), func(id PackID) bool { return covered[id] })
	if err := x.newStripes(ctx, bare, stale); err != nil {
		return err
	}
	if err := x.dropStripes(ctx, stale); err != nil {
		return err
	}
	// Joining is left to prune: a repair leaves what is whole as it is.
	_, err = x.r.usefulStripes(ctx)
	return err
}

// newStripes makes stripes of packs that are in none. found says what is wrong
// with stripes whose packs these may be: the same packs make the same stripe.
func (x *repairer) newStripes(ctx context.Context, bare []PackID, found map[string]error) error {
	for group := range slices.Chunk(bare, x.r.cfg.Parity.Stripe) {
		longest := 0
		for _, id := range group {
			p, _ := x.r.index.pack(id)
			longest = max(longest, int(p.Size))
		}
		b, err := x.r.newStripeBuilder(len(group), longest)
		if err != nil {
			return err
		}
		if err := errors.Join(x.newStripe(ctx, b, group, found), b.close()); err != nil {
			return err
		}
	}
	return nil
}

func (x *repairer) newStripe(ctx context.Context, b *stripeBuilder, group []PackID, found map[string]error) error {
	for _, id := range group {
		packed, err := x.readWhole(ctx, id)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			continue // named already, or by the next run that reads it
		}
		b.Add(id, packed.b)
		x.r.scratch.put(packed)
	}
	if b.Len() == 0 {
		return nil
	}
	id, data := b.Finish()
	a := Action{Object: id.Object(), Kind: ObjectParity, Found: found[id.Object()], By: ByPacks, Harmless: true}
	if a.Found == nil {
		a.Found = fmt.Errorf("%w: %d packs are in no stripe", ErrMissing, b.Len())
	}
	delete(found, id.Object())
	return x.mend(ctx, a, data)
}

// dropStripes deletes stripes that are of no use: which packs they were of nobody
// knows, or one is gone. The others are in new ones by now.
func (x *repairer) dropStripes(ctx context.Context, found map[string]error) error {
	for _, name := range slices.Sorted(maps.Keys(found)) {
		a := Action{Object: name, Kind: ObjectParity, Found: found[name], By: ByNothing}
		if err := x.r.be.Delete(ctx, name); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			a.By, a.Left, a.Harmless = "", err, true
		}
		x.did(a)
	}
	return nil
}

// stripe mends one stripe, and reports whether it protects its packs now.
func (x *repairer) stripe(ctx context.Context, s *stripe) (bool, error) {
	own := s.head.ID.Object()
	found, err := x.examineStripe(ctx, s)
	if found == nil || err != nil {
		return err == nil, err
	}
	a := Action{Object: own, Kind: ObjectParity, Found: found, By: ByPacks, Harmless: true}
	b, err := x.r.newStripeBuilder(len(s.head.Members), s.head.Length)
	if err != nil {
		return false, err
	}
	lost, err := x.r.addAll(ctx, b, s.head.Members)
	switch {
	case err != nil:
	case len(lost) > 0:
		// Its packs that are whole get another one.
		a.By, a.Left = "", fmt.Errorf("%w: %s is not whole", ErrDamaged, lost[0].ID.Object())
		x.did(a)
	default:
		_, data := b.Finish()
		err = x.mend(ctx, a, data)
	}
	return err == nil && len(lost) == 0, errors.Join(err, b.close())
}

// examineStripe returns what is wrong with a stripe.
func (x *repairer) examineStripe(ctx context.Context, s *stripe) (found, err error) {
	own := s.head.ID.Object()
	info, err := x.r.be.Stat(ctx, s.object)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return gone(readCause(ctx, err)), nil
	}
	switch {
	case s.misnamed():
		return fmt.Errorf("%w: it lies at %s", ErrDamaged, s.object), nil
	case info.Size != int64(s.head.Size()):
		return fmt.Errorf("%w: it has %d bytes, %d are right", ErrDamaged, info.Size, s.head.Size()), nil
	case !x.o.Parity && !x.named[own]:
		return nil, nil
	}
	data := x.r.scratch.get(int(info.Size))
	defer x.r.scratch.put(data)
	err = storage.ReadRange(ctx, x.r.be, own, 0, data.b)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil {
		x.report.Bytes += info.Size
		err = checkParity(own, data.b)
	}
	return readCause(ctx, err), nil
}
