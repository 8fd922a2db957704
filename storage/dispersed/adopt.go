package dispersed

import (
	"context"
	"errors"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// members checks that every storage is the one that belongs in its place. A repair
// makes those parts of the set that have no record of being anything else, as long
// as the others are enough to make everything of: what is emptied is filled then.
func (c *checking) members(ctx context.Context) error {
	b := c.b
	set, formed := b.identity.get()
	if !formed {
		return nil
	}
	replies := ask(ctx, b, b.n, func(ctx context.Context, m *member) (struct{}, error) {
		rec, err := m.own(ctx)
		return struct{}{}, m.judge(set, rec, err)
	})
	if err := ended(ctx, c.op, recordName); err != nil {
		return err
	}
	good := count(replies)
	for i, r := range replies {
		if !stranger(r.err) {
			continue
		}
		f := Finding{Name: recordName, Storage: i + 1, Problem: Emptied, Err: r.err}
		if errors.Is(r.err, errForeign) {
			f.Problem = Foreign
		}
		err := c.found(ctx, f, func(ctx context.Context) error {
			switch {
			case f.Problem == Foreign:
				return fault.New(c.op, r.m.Location(), r.err, "mount the right one, or put an empty one in its place and repair again")
			case good < b.k:
				return b.tooFew(ctx, c.op, recordName, b.k, errsOf(replies)...)
			}
			return r.m.write(ctx, membership{set: set, filling: true}, backend.PutOptions{})
		})
		if err != nil {
			return err
		}
	}
	b.survey(ctx, true)
	for _, m := range b.members {
		if err := b.history.against(m); err != nil {
			c.older = append(c.older, reply[struct{}]{m: m, err: err})
		}
	}
	return nil
}

// settled has storages count again of which some were emptied or rolled back, when a repair
// ended with everything whole. It tells of those that were rolled back: a check does no more.
func (c *checking) settled(ctx context.Context) error {
	whole := c.repair && c.o.Prefix == "" && c.whole()
	filling := slices.ContainsFunc(c.b.members, (*member).filling)
	var unmarked error
	if whole && (filling || len(c.older) > 0 || c.o.LetGo != nil) {
		unmarked = c.b.record(ctx, recording{all: true, given: c.o.LetGo != nil})
	}
	for _, r := range c.older {
		found := Finding{Name: recordName, Storage: r.m.index + 1, Problem: RolledBack, Err: r.err}
		if err := c.found(ctx, found, func(context.Context) error {
			switch {
			case unmarked != nil:
				return unmarked
			case !whole || c.b.history.against(r.m) != nil:
				return r.err
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if !whole || !filling || unmarked != nil {
		return unmarked
	}
	return c.filled(ctx)
}

// filled notes of the storages that were emptied that they have everything again.
func (c *checking) filled(ctx context.Context) error {
	set, _ := c.b.identity.get()
	for _, m := range c.b.members {
		if !m.filling() {
			continue
		}
		if err := m.write(ctx, membership{set: set}, backend.PutOptions{}); err != nil {
			return err
		}
	}
	return nil
}
