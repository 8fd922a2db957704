package dispersed

import (
	"context"
	"errors"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// Delete removes the shards from all storages when all answer. Otherwise those that do
// keep a tombstone in their place, more than there are parity shards: a storage that
// was away brings nothing back.
func (b *Backend) Delete(ctx context.Context, name string) error {
	const op = "delete"
	if err := b.begin(ctx, op, name, false); err != nil {
		return err
	}
	_, unlock := b.lock(ctx, name)
	defer unlock()
	b.known.forget(name)
	// What cannot be read can be deleted, too: only what was seen counts.
	f, err := b.look(ctx, op, name, true)
	if err := ended(ctx, op, name); err != nil {
		return err
	}
	silent, wrong := f.view.silent()
	switch {
	case f.top == nil && wrong == 0 && err == nil:
		return nil
	case f.top != nil && f.top.gone() && f.view.has(f.top.version) > b.n-b.k:
		return nil
	}
	if err := b.retainedAnywhere(ctx, op, name); err != nil {
		return err
	}
	if silent == 0 {
		replies := ask(ctx, b, b.n, func(ctx context.Context, m *member) (struct{}, error) {
			return struct{}{}, b.remove(ctx, m, name, f)
		})
		if count(replies) == b.n {
			return nil
		}
	}
	return b.bury(ctx, op, name, version{b.after(f), random()}, f)
}

// remove deletes what a member has of what was found.
func (b *Backend) remove(ctx context.Context, m *member, name string, f *found) error {
	if err := b.removeWaiting(ctx, m, name, f); err != nil {
		return err
	}
	return m.Delete(ctx, name)
}

// removeWaiting deletes the shards of an elected version that nobody took away.
func (b *Backend) removeWaiting(ctx context.Context, m *member, name string, f *found) error {
	for _, h := range f.view.versions() {
		if h.conditional() {
			if err := m.Delete(ctx, stagedPath(name, h.version)); err != nil {
				return err
			}
		}
	}
	return nil
}

// bury puts tombstones in the place of all shards, on so many members that fewer than
// k shards can be left, and that everybody who looks sees one.
func (b *Backend) bury(ctx context.Context, op, name string, v version, f *found) error {
	need := b.n - b.k + 1
	replies := ask(ctx, b, need, func(ctx context.Context, m *member) (struct{}, error) {
		h := head{
			version: v, data: uint8(b.k), parity: uint8(b.n - b.k), index: uint8(m.index), flags: flagGone,
			name: hashName(name), time: b.clock.Now().UnixNano(),
		}
		err := m.Put(ctx, name, h.tombstone(), backend.PutOptions{Sync: true})
		if err == nil {
			err = b.removeWaiting(ctx, m, name, f)
		}
		return struct{}{}, m.counts(err)
	})
	if count(replies) < need {
		return b.tooFew(ctx, op, name, need, errsOf(replies)...)
	}
	return nil
}

// retainedAnywhere refuses to delete what a storage keeps: else the shards on the others
// would be lost before that one says no.
func (b *Backend) retainedAnywhere(ctx context.Context, op, name string) error {
	now := b.clock.Now()
	for _, r := range ask(ctx, b, b.k, func(ctx context.Context, m *member) (time.Time, error) {
		return m.retained(ctx, name)
	}) {
		if r.err == nil && r.value.After(now) {
			return fault.New(op, name, backend.ErrRetained, "it can be deleted after "+r.value.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// retained asks a member until when it keeps its shard.
func (m *member) retained(ctx context.Context, name string) (time.Time, error) {
	r, ok := m.Backend.(backend.Retainer)
	if !ok || m.unlocked.Load() {
		return time.Time{}, nil
	}
	var until time.Time
	err := m.request(ctx, false, func(ctx context.Context) (err error) {
		until, err = r.Retained(ctx, name)
		return err
	})
	if errors.Is(err, backend.ErrUnsupported) {
		m.unlocked.Store(true)
		err = nil
	}
	return until, err
}
