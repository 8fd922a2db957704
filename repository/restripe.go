package repository

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// restripeRounds is how often stripes are looked at again for packs that other
// collectors put into new ones meanwhile.
const restripeRounds = 16

// Unprotect takes packs that are about to be deleted out of their stripes and
// deletes their parity objects. The packs must still be there, and what is left of
// their stripes goes on protecting the others. It may be called again at any time,
// after dying at any step too, and by several collectors at once: a stripe is
// replaced by first storing another one, durably, as long as there is room. Afterwards
// no stripe has any of the packs.
func (r *Repository) Unprotect(ctx context.Context, packs []PackID) error {
	if r.cfg.Parity.None() || len(packs) == 0 {
		return nil
	}
	going := make(map[PackID]bool, len(packs))
	for _, id := range packs {
		going[id] = true
	}
	defer r.correct.forget()
	for round := 0; ; round++ {
		set, err := r.readStripes(ctx)
		if err != nil {
			return err
		}
		touched := slices.DeleteFunc(set.all, func(s *stripe) bool {
			return !slices.ContainsFunc(s.head.Members, func(m parity.Member) bool { return going[m.ID] })
		})
		if len(touched) == 0 {
			break
		}
		if round == restripeRounds {
			return fault.New("take packs out of", touched[0].object, errors.New("another collector keeps putting them into new stripes"), "run one prune at a time")
		}
		slices.SortFunc(touched, func(a, b *stripe) int { return cmp.Compare(a.head.Length, b.head.Length) })
		for _, s := range touched {
			if err := r.shrink(ctx, s, going); err != nil {
				return fault.New("take packs out of", s.object, err, "")
			}
		}
	}
	return r.deleteParity(ctx, packs)
}

// deleteParity deletes what packs have of their own.
func (r *Repository) deleteParity(ctx context.Context, packs []PackID) error {
	for _, id := range packs {
		if err := r.be.Delete(ctx, parity.Name(id)); err != nil {
			return err
		}
	}
	return nil
}

// shrink replaces a stripe by one without the packs that are going. In a storage
// without room for both, the parity of those packs goes before, and if that is not
// enough the stripe itself: what takes its place is not longer.
func (r *Repository) shrink(ctx context.Context, s *stripe, going map[PackID]bool) error {
	var stay, leave []parity.Member
	for _, m := range s.head.Members {
		if going[m.ID] {
			leave = append(leave, m)
		} else {
			stay = append(stay, m)
		}
	}
	replaced := ""
	if len(stay) > 0 {
		b, err := r.newStripeBuilder(len(s.head.Members), s.head.Length)
		if err != nil {
			return err
		}
		err = r.fillShrunk(ctx, b, s, stay, leave)
		if err == nil {
			replaced, err = r.putStripe(ctx, b,
				func(ctx context.Context) error { return r.deleteParity(ctx, slices.Collect(maps.Keys(going))) },
				func(ctx context.Context) error { return r.be.Delete(ctx, s.object) })
		}
		if err := errors.Join(err, b.close()); err != nil {
			return err
		}
	}
	if replaced == s.object { // it lay under the name of the one that takes its place
		return nil
	}
	return r.be.Delete(ctx, s.object)
}

// fillShrunk makes what a stripe is without some of its packs: by taking those
// out when that takes less reading or when those that stay are not all whole, and
// else of those that stay. Of packs that are whole in no way nothing is kept.
func (r *Repository) fillShrunk(ctx context.Context, b *stripeBuilder, s *stripe, stay, leave []parity.Member) error {
	out := len(leave) <= len(stay)
	if out {
		if done, err := r.takeOut(ctx, b, s, leave); done || err != nil {
			return err
		}
		b.Reset()
	}
	lost, err := r.addAll(ctx, b, stay)
	if err != nil || len(lost) == 0 {
		return err
	}
	if !out {
		rest := slices.Clone(b.Members())
		b.Reset()
		if done, err := r.takeOut(ctx, b, s, leave); done || err != nil {
			return err
		}
		b.Reset()
		_, err = r.addAll(ctx, b, rest)
	}
	return err
}

// takeOut fills the builder with a stripe and takes packs out of it. It reports
// whether that succeeded: the stripe and those packs must be whole.
func (r *Repository) takeOut(ctx context.Context, b *stripeBuilder, s *stripe, leave []parity.Member) (bool, error) {
	body := r.scratch.get(s.head.Length)
	defer r.scratch.put(body)
	whole, err := r.readStripeBody(ctx, s, body.b)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil || !whole {
		return false, nil // there is another way, which does without
	}
	b.AddStripe(s.head, body.b)
	for _, m := range leave {
		whole, err := r.readMember(ctx, m, body.b[:m.Size])
		if err != nil || !whole {
			return false, err
		}
		b.Remove(m.ID, body.b[:m.Size])
	}
	return true, nil
}

// addAll fills the builder with packs, and returns those that are not whole.
func (r *Repository) addAll(ctx context.Context, b *stripeBuilder, members []parity.Member) (lost []parity.Member, err error) {
	for _, m := range members {
		buf := r.scratch.get(int(m.Size))
		whole, err := r.readMember(ctx, m, buf.b)
		switch {
		case err != nil:
		case whole:
			b.Add(m.ID, buf.b)
		default:
			lost = append(lost, m)
		}
		r.scratch.put(buf)
		if err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// stripeBuilder is a builder with its memory, outside Go's heap.
type stripeBuilder struct {
	*parity.Builder
	buf []byte
}

func (r *Repository) newStripeBuilder(members, size int) (*stripeBuilder, error) {
	buf, err := newBuffer(parity.BuilderSpace(members, size))
	if err != nil {
		return nil, errors.Join(errors.New("no memory for a stripe of packs"), err)
	}
	return &stripeBuilder{parity.NewBuilder(buf, members, size), buf}, nil
}

func (b *stripeBuilder) close() error { return freeBuffer(b.buf) }

// putStripe stores a stripe that was made, durably, and empties the builder. Of no
// packs there is none. In a full storage it makes room, one way after the other.
func (r *Repository) putStripe(ctx context.Context, b *stripeBuilder, room ...func(context.Context) error) (object string, err error) {
	if b.Len() == 0 {
		return "", nil
	}
	defer b.Reset()
	id, data := b.Finish()
	err = r.be.Put(ctx, id.Object(), data, storage.PutOptions{Sync: true})
	for _, free := range room {
		if !errors.Is(err, storage.ErrFull) {
			break
		}
		if err = free(ctx); err == nil {
			err = r.be.Put(ctx, id.Object(), data, storage.PutOptions{Sync: true})
		}
	}
	return id.Object(), err
}
