package dispersed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Able returns the storage with the abilities that all its storages have. [Of] finds b
// in it.
func (b *Backend) Able() backend.Backend {
	retains, thaws := true, true
	for _, m := range b.members {
		_, r := m.Backend.(backend.Retainer)
		_, t := m.Backend.(backend.Thawer)
		retains, thaws = retains && r, thaws && t
	}
	switch {
	case retains && thaws:
		return struct {
			*Backend
			retainer
			thawer
		}{b, retainer{b}, thawer{b}}
	case retains:
		return struct {
			*Backend
			retainer
		}{b, retainer{b}}
	case thaws:
		return struct {
			*Backend
			thawer
		}{b, thawer{b}}
	}
	return b
}

// Of returns the dispersed storage that be is or wraps; ok is false when it is none.
func Of(be backend.Backend) (b *Backend, ok bool) {
	for {
		if d, ok := be.(interface{ dispersed() *Backend }); ok {
			return d.dispersed(), true
		}
		w, ok := be.(backend.Unwrapper)
		if !ok {
			return nil, false
		}
		be = w.Unwrap()
	}
}

func (b *Backend) dispersed() *Backend { return b }

// retainer keeps objects by keeping their shards.
type retainer struct{ of *Backend }

// Retain returns when a quorum of storages keeps its shard.
func (r retainer) Retain(ctx context.Context, name string, until time.Time) error {
	const op = "retain"
	b := r.of
	if err := b.ready(ctx, op, name, false); err != nil {
		return err
	}
	if _, err := b.find(ctx, op, name); err != nil {
		return err
	}
	replies := ask(ctx, b, b.quorum, func(ctx context.Context, m *member) (struct{}, error) {
		return struct{}{}, m.request(ctx, true, func(ctx context.Context) error {
			return m.Backend.(backend.Retainer).Retain(ctx, name, until)
		})
	})
	if count(replies) < b.quorum {
		return b.tooFew(ctx, op, name, b.quorum, errsOf(replies)...)
	}
	return nil
}

// Retained returns until when so many shards are kept that the object can be read.
func (r retainer) Retained(ctx context.Context, name string) (time.Time, error) {
	const op = "retained"
	if err := r.of.ready(ctx, op, name, false); err != nil {
		return time.Time{}, err
	}
	if _, err := r.of.find(ctx, op, name); err != nil {
		return time.Time{}, err
	}
	return r.of.keptUntil(ctx, name)
}

// keptUntil returns until when k storages keep their shards; zero where they do not.
func (b *Backend) keptUntil(ctx context.Context, name string) (time.Time, error) {
	replies := ask(ctx, b, b.quorum, func(ctx context.Context, m *member) (time.Time, error) {
		return m.retained(ctx, name)
	})
	if count(replies) < b.k {
		return time.Time{}, b.tooFew(ctx, "retained", name, b.k, errsOf(replies)...)
	}
	slices.SortFunc(replies, func(x, y reply[time.Time]) int { return y.value.Compare(x.value) })
	return replies[b.k-1].value, nil
}

// RetentionCheck tells what is missing at any of the storages.
func (r retainer) RetentionCheck(ctx context.Context) error {
	var all []error
	for i, a := range ask(ctx, r.of, r.of.n, func(ctx context.Context, m *member) (struct{}, error) {
		return struct{}{}, m.request(ctx, false, m.Backend.(backend.Retainer).RetentionCheck)
	}) {
		if a.err != nil {
			err := fmt.Errorf("storage %d of %d: %w", i+1, r.of.n, a.err)
			if unanswered(a.err) || errors.Is(a.err, errSlow) { // it may well keep objects
				err = fault.WithHint(err, fmt.Sprintf("see to it that storage %d can be reached, then ask again", i+1))
			}
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// thawer thaws objects by thawing their shards.
type thawer struct{ of *Backend }

// Thaw asks all storages. Objects are ready when as many storages have all their
// shards ready as a read needs.
func (t thawer) Thaw(ctx context.Context, names []string, o backend.ThawOptions) (backend.ThawState, error) {
	const op = "thaw"
	b := t.of
	replies := ask(ctx, b, b.k, func(ctx context.Context, m *member) (state backend.ThawState, err error) {
		err = m.request(ctx, false, func(ctx context.Context) (err error) {
			state, err = m.Backend.(backend.Thawer).Thaw(ctx, names, o)
			return err
		})
		return state, err
	})
	var states []backend.ThawState
	sum := backend.ThawState{}
	for _, r := range replies {
		if r.err == nil {
			states = append(states, r.value)
		}
		sum.Asked += r.value.Asked
	}
	if len(states) < b.k {
		object := b.Location()
		if len(names) == 1 {
			object = names[0]
		}
		return sum, fault.New(op, object, b.tooFew(ctx, op, object, b.k, errsOf(replies)...), "")
	}
	slices.SortFunc(states, func(x, y backend.ThawState) int { return cmp.Compare(x.Waiting, y.Waiting) })
	sum.Waiting = states[b.k-1].Waiting
	sum.Ready = len(names) - sum.Waiting
	for _, s := range states[:b.k] {
		sum.Expected = max(sum.Expected, s.Expected)
	}
	return sum, nil
}
