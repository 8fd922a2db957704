package repository

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
	"mahavishnu/repository/index"
	"mahavishnu/repository/pack"
	"mahavishnu/storage"
)

// adopters is how many packs are read at once.
const adopters = 2

// adopt takes over packs that no index knows. Each is read whole and checked
// first: after a loss of power a pack may be there in part, and a blob that is
// reused must be readable. Packs that are not whole are left alone.
//
// A pack may belong to a session that is still running. Then both write it
// into an index, which does no harm.
func (s *Session) adopt(ctx context.Context, orphans []packObject) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(adopters)
	for _, o := range orphans {
		group.Go(func() error {
			p, entries, err := s.r.checkOrphan(ctx, o, s.flags)
			switch {
			case isDamage(err), errors.Is(err, ErrUnreadable):
				s.stats.refusedPacks.Add(1)
				return nil
			case errors.Is(err, storage.ErrNotFound), errors.Is(err, errOtherTier), errors.Is(err, storage.ErrArchived):
				return nil // collected since it was listed, or its own sessions adopt it, or it would have to be thawed
			case err != nil:
				return err
			}
			if err := s.protect.adopt(ctx, o); err != nil {
				return err
			}
			return s.takeOver(ctx, p, entries)
		})
	}
	return group.Wait()
}

// takeOver counts a pack as this session's own.
func (s *Session) takeOver(ctx context.Context, p index.Pack, entries []index.Entry) error {
	for _, e := range entries {
		if !s.r.Doubted(p.ID, e.ID) {
			s.pending.Claim(e.ID)
		}
	}
	s.stats.adoptedPacks.Add(1)
	s.stats.adopted(entries)
	s.collect(p, entries)
	return s.flushSome(ctx)
}

// errOtherTier means that a pack is archival and the session is not, or the
// other way round.
var errOtherTier = errors.New("pack of another tier")

// checkOrphan reads a pack whole, compares its checksum, and opens its footer.
func (r *Repository) checkOrphan(ctx context.Context, o packObject, flags uint8) (index.Pack, []index.Entry, error) {
	fail := func(err error) (index.Pack, []index.Entry, error) {
		return index.Pack{}, nil, fault.New("adopt", o.id.Object(), damage(err), "")
	}
	// The end first: a pack that was cut off is told by 64 bytes.
	t, entries, err := r.readFooter(ctx, o.id, o.size)
	if err == nil && (t.Flags^flags)&pack.FlagArchival != 0 {
		err = errOtherTier
	}
	if err == nil {
		_, err = streamPack(ctx, r.be, &r.scratch, o)
		err = r.reach.heard(ctx, o.id, err)
	}
	if err != nil {
		return fail(err)
	}
	return indexPack(t.Header, o.size, len(entries)), indexEntries(entries), nil
}
