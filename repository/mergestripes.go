package repository

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"mahavishnu/repository/condemn"
	"mahavishnu/repository/index"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// MergeStripes joins small stripes, of up to half as many packs as a stripe may
// have, where that is worth it: see worthJoining. Each session leaves one, as long as
// its longest pack. It reads and writes those stripes only, no packs. The joined
// ones are deleted after the new one is durable. Whoever may delete calls it now and
// then. What is parity of nothing goes before.
func (r *Repository) MergeStripes(ctx context.Context) error {
	if r.cfg.Parity.None() {
		return nil
	}
	for more := true; more; {
		set, err := r.usefulStripes(ctx)
		if err == nil {
			more, err = r.mergeOnce(ctx, set)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mergeOnce joins what is worth it, and reports whether that was anything.
func (r *Repository) mergeOnce(ctx context.Context, set *stripeSet) (more bool, err error) {
	width := r.cfg.Parity.Stripe
	small := slices.DeleteFunc(set.all, func(s *stripe) bool { return len(s.head.Members) > width/2 || s.misnamed() })
	// The shortest together: a stripe is as long as its longest pack.
	slices.SortFunc(small, func(a, b *stripe) int {
		return cmp.Or(cmp.Compare(a.head.Length, b.head.Length), cmp.Compare(a.object, b.object))
	})
	defer r.correct.forget()
	for len(small) > 1 {
		n := worthJoining(small, width)
		if n > 1 {
			joined, err := r.join(ctx, small[:n])
			if err != nil {
				return more, err
			}
			more = more || joined
		}
		small = small[max(n, 1):]
	}
	return more, nil
}

// TidyStripes gives packs a stripe that are in none, because whoever stored them, or
// took others out of their stripe in a full storage, died; then it joins small
// stripes.
func (c *Collector) TidyStripes(ctx context.Context) error {
	var full error
	if c.r.cfg.Parity.Stripe > 0 {
		if full = c.coverBare(ctx); full != nil && !errors.Is(full, storage.ErrFull) {
			return full
		}
	}
	return errors.Join(c.r.MergeStripes(ctx), full) // joining makes room
}

// coverBare makes stripes of packs that are in none. Those of sessions at work are
// left to them: the index may name a pack before its stripe is full. Sessions are
// looked at after the index and before stripes, so of one that has ended since all
// stripes are seen. What is to go needs none.
func (c *Collector) coverBare(ctx context.Context) error {
	r := c.r
	packs := r.indexedPacks()
	census, err := c.watch.Look(ctx, c.lease.ID())
	if err != nil {
		return err
	}
	condemned, err := condemn.Read(ctx, r.be, r.keys)
	if err != nil {
		return err
	}
	set, err := r.readStripes(ctx)
	if err != nil || len(set.bad) > 0 { // it may be of what cannot be read
		return err
	}
	atWork := census.Tags()
	bare := slices.DeleteFunc(packs, func(p index.Pack) bool {
		return len(set.of(p.ID)) > 0 || atWork[p.ID.Tag()] || condemned.Has(p.ID)
	})
	slices.SortStableFunc(bare, func(a, b index.Pack) int { return cmp.Compare(a.Size, b.Size) })
	defer r.correct.forget()
	for group := range slices.Chunk(bare, r.cfg.Parity.Stripe) {
		b, err := r.newStripeBuilder(len(group), int(group[len(group)-1].Size))
		if err != nil {
			return err
		}
		if err = r.addBare(ctx, b, group); err == nil {
			_, err = r.putStripe(ctx, b)
		}
		if err := errors.Join(err, b.close()); err != nil {
			return err
		}
	}
	return nil
}

// addBare fills the builder with those of packs that are whole. Others are named by
// whoever verifies.
func (r *Repository) addBare(ctx context.Context, b *stripeBuilder, packs []index.Pack) error {
	for _, p := range packs {
		buf := r.scratch.get(int(p.Size))
		err := r.readPack(ctx, p.ID, 0, buf.b)
		if err == nil {
			if _, err = pack.Scrub(buf.b, p.ID); err == nil {
				b.Add(p.ID, buf.b)
			}
		}
		r.scratch.put(buf)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, ErrUnreachable) {
			return err
		}
	}
	return nil
}

// usefulStripes reads the stripes, once all parity of nothing is gone.
func (r *Repository) usefulStripes(ctx context.Context) (*stripeSet, error) {
	set, err := r.readStripes(ctx)
	if err != nil {
		return nil, err
	}
	dropped, err := r.dropUseless(ctx, set)
	if err != nil || !dropped {
		return set, err
	}
	return r.readStripes(ctx)
}

// worthJoining returns how many stripes, from the first, are joined. They come by
// length. Joining spares all but the longest, and reads all and writes the longest: at
// most twice as much as it spares, if the others are together twice as long as the
// longest. So of stripes that are equally long two wait for a third, and a long one
// waits until shorter ones amount to twice as much.
func worthJoining(small []*stripe, width int) int {
	n, spared, best := 0, 0, 0
	members := map[PackID]bool{}
	for ; n < len(small) && len(members)+len(small[n].head.Members) <= width && !overlap(members, small[n]); n++ {
		if spared >= 2*small[n].head.Length {
			best = n + 1
		}
		spared += small[n].head.Length
		for _, m := range small[n].head.Members {
			members[m.ID] = true
		}
	}
	return best
}

func overlap(members map[PackID]bool, s *stripe) bool {
	return slices.ContainsFunc(s.head.Members, func(m parity.Member) bool { return members[m.ID] })
}

// join replaces stripes by one, unless fewer than two are whole: damaged ones are
// left to Repair.
func (r *Repository) join(ctx context.Context, stripes []*stripe) (joined bool, err error) {
	count, longest := 0, 0
	for _, s := range stripes {
		count, longest = count+len(s.head.Members), max(longest, s.head.Length)
	}
	b, err := r.newStripeBuilder(count, longest)
	if err != nil {
		return false, err
	}
	var whole []*stripe
	body := r.scratch.get(longest)
	for _, s := range stripes {
		ok, readErr := r.readStripeBody(ctx, s, body.b)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		if readErr == nil && ok {
			b.AddStripe(s.head, body.b[:s.head.Length])
			whole = append(whole, s)
		}
	}
	r.scratch.put(body)
	if err == nil && len(whole) > 1 {
		if _, err = r.putStripe(ctx, b); err == nil {
			joined = true
			for _, s := range whole {
				err = errors.Join(err, r.be.Delete(ctx, s.object))
			}
		}
	}
	return joined, errors.Join(err, b.close())
}
