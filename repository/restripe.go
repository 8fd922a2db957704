package repository

import (
	"cmp"
	"context"
	"errors"
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
// replaced by first storing another one, durably. Afterwards no stripe has any of
// the packs.
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
		for _, s := range touched {
			if err := r.shrink(ctx, s, going); err != nil {
				return fault.New("take packs out of", s.object, err, "")
			}
		}
	}
	for _, id := range packs {
		if err := r.be.Delete(ctx, parity.Name(id)); err != nil {
			return err
		}
	}
	return nil
}

// shrink replaces a stripe by one without the packs that are going.
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
			replaced, err = r.putStripe(ctx, b)
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
// packs there is none.
func (r *Repository) putStripe(ctx context.Context, b *stripeBuilder) (object string, err error) {
	if b.Len() == 0 {
		return "", nil
	}
	id, data := b.Finish()
	err = r.be.Put(ctx, id.Object(), data, storage.PutOptions{Sync: true})
	b.Reset()
	return id.Object(), err
}

// mergeFrom is how many small stripes there must be for MergeStripes to join
// some: each session leaves one.
const mergeFrom = 16

// MergeStripes joins small stripes, of up to half as many packs as a stripe may
// have, when there are many: it reads and writes those stripes only, no packs. The
// joined ones are deleted after the new one is durable. Whoever may delete calls it
// now and then. What is parity of nothing goes before.
func (r *Repository) MergeStripes(ctx context.Context) error {
	if r.cfg.Parity.None() {
		return nil
	}
	width := r.cfg.Parity.Stripe
	set, err := r.readStripes(ctx)
	if err != nil {
		return err
	}
	if dropped, err := r.dropUseless(ctx, set); err != nil {
		return err
	} else if dropped {
		if set, err = r.readStripes(ctx); err != nil {
			return err
		}
	}
	small := slices.DeleteFunc(set.all, func(s *stripe) bool { return len(s.head.Members) > width/2 || s.misnamed() })
	if len(small) < mergeFrom {
		return nil
	}
	// The shortest together: a stripe is as long as its longest pack.
	slices.SortFunc(small, func(a, b *stripe) int {
		return cmp.Or(cmp.Compare(a.head.Length, b.head.Length), cmp.Compare(a.object, b.object))
	})
	defer r.correct.forget()
	for len(small) > 1 {
		n, members := 0, map[PackID]bool{}
		for ; n < len(small) && len(members)+len(small[n].head.Members) <= width && !overlap(members, small[n]); n++ {
			for _, m := range small[n].head.Members {
				members[m.ID] = true
			}
		}
		if n > 1 {
			if err := r.join(ctx, small[:n]); err != nil {
				return err
			}
		}
		small = small[max(n, 1):]
	}
	return nil
}

func overlap(members map[PackID]bool, s *stripe) bool {
	return slices.ContainsFunc(s.head.Members, func(m parity.Member) bool { return members[m.ID] })
}

// join replaces stripes by one. Damaged ones are left to Repair.
func (r *Repository) join(ctx context.Context, stripes []*stripe) error {
	count, longest := 0, 0
	for _, s := range stripes {
		count, longest = count+len(s.head.Members), max(longest, s.head.Length)
	}
	b, err := r.newStripeBuilder(count, longest)
	if err != nil {
		return err
	}
	var joined []*stripe
	body := r.scratch.get(longest)
	for _, s := range stripes {
		whole, readErr := r.readStripeBody(ctx, s, body.b)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		if readErr == nil && whole {
			b.AddStripe(s.head, body.b[:s.head.Length])
			joined = append(joined, s)
		}
	}
	r.scratch.put(body)
	if err == nil && len(joined) > 1 {
		if _, err = r.putStripe(ctx, b); err == nil {
			for _, s := range joined {
				err = errors.Join(err, r.be.Delete(ctx, s.object))
			}
		}
	}
	return errors.Join(err, b.close())
}
