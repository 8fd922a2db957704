package dispersed

import (
	"context"
	"errors"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Sync returns when a quorum of storages has made its shard of every object durable.
func (b *Backend) Sync(ctx context.Context, names []string) error {
	const op = "sync"
	for _, name := range names {
		if err := b.begin(ctx, op, name, false); err != nil {
			return err
		}
	}
	if err := ended(ctx, op, b.Location()); err != nil || len(names) == 0 {
		return err
	}
	// A tombstone can be synced as well: what is not known to be there is looked for.
	now := b.clock.Now()
	for _, name := range names {
		if _, ok := b.known.get(name, now); !ok {
			if _, err := b.find(ctx, op, name); err != nil {
				return err
			}
		}
	}
	replies := ask(ctx, b, b.quorum, func(ctx context.Context, m *member) (map[string]error, error) {
		err := m.Sync(ctx, names)
		if !errors.Is(err, backend.ErrNotFound) {
			return nil, err
		}
		failed := map[string]error{}
		for _, name := range names {
			if err := m.Sync(ctx, []string{name}); err != nil {
				failed[name] = err
			}
		}
		return failed, nil
	})
	for _, name := range names {
		good := 0
		errs := errsOf(replies)
		for i, r := range replies {
			if r.err == nil {
				if errs[i] = r.m.counts(r.value[name]); errs[i] == nil {
					good++
				}
			}
		}
		if good < b.quorum {
			b.known.forget(name)
			if _, err := b.find(ctx, op, name); err != nil {
				return err
			}
			if err := b.tooFew(ctx, op, name, b.quorum, errs...); err != nil {
				return fault.WithHint(err, "repair the storages: too few have their part of the object")
			}
		}
	}
	return nil
}
