package repository

import (
	"context"
	"errors"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository/keyring"
)

// mayChange refuses what stores or deletes when something was sealed with a version
// of the key that the ring lacks: then it is not known what is there, and what is
// stored now would be sealed with a key that somebody has replaced. Reading goes on as
// far as the ring reaches. What tells is looked at once until the next Refresh: the
// index, the packs that it names, and the newest snapshot. It refuses, too, while
// something that was to be listed could not be.
func (r *Repository) mayChange(ctx context.Context, op string) error {
	if err := r.mayJudge(ctx, op); err != nil {
		return err
	}
	return r.seesAll(ctx, op)
}

// mayJudge is mayChange for those who look and change nothing but notes: they may
// find that something cannot be listed.
func (r *Repository) mayJudge(ctx context.Context, op string) error {
	err := r.index.lacks()
	if err == nil && !r.current.Load() {
		if err = r.newestOpens(ctx); err == nil {
			r.current.Store(true)
		}
	}
	if errors.Is(err, keyring.ErrNoVersion) {
		return fault.New(op, r.be.Location(), err, "")
	}
	return err
}

// newestOpens returns ErrNoVersion when the ring does not open the newest snapshot,
// or one of the same second.
func (r *Repository) newestOpens(ctx context.Context) error {
	refs, _, _, err := r.knownSnapshots(ctx, "")
	if err != nil || len(refs) == 0 {
		return err
	}
	last := slices.MaxFunc(refs, func(a, b snapshotRef) int { return a.time.Compare(b.time) }).time
	for _, ref := range refs {
		if !ref.time.Equal(last) {
			continue
		}
		_, _, err := r.readSnapshot(ctx, ref.object)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, keyring.ErrNoVersion):
			return err
		} // whatever else may be wrong with it is no matter of keys
	}
	return nil
}

// lacks returns ErrNoVersion when the index, or a pack that it names, was sealed with
// a version that the ring lacks because it is older.
func (s *indexSet) lacks() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.bad {
		if errors.Is(err, keyring.ErrNoVersion) {
			return err
		}
	}
	for _, f := range s.fragments() {
		for n := range uint32(f.Packs()) {
			if p, ok := f.Pack(n); ok && p.KeyVersion > s.keys.Current() {
				_, err := s.keys.Pack(p.KeyVersion, p.ID)
				return err
			}
		}
	}
	return nil
}
