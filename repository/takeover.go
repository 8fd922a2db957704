package repository

import (
	"context"
	"slices"
	"time"

	"mahavishnu/repository/index"
	"mahavishnu/repository/lease"
)

// inherit counts as taken over what backups of the same source have stored and
// indexed that did not finish: each snapshot tells what it cost, over all attempts.
// Those from before the newest snapshot are in its account. How far back is decided by
// the clocks of those who stored: this is for reports only. Garbage collection clears
// ended sessions away, and what they had stored is then found like anything else.
func (s *Session) inherit(ctx context.Context) error {
	if s.o.Source == "" {
		return nil
	}
	left, err := lease.NewStore(s.r.be, s.r.keys).Interrupted(ctx, s.o.Source)
	if err != nil || len(left) == 0 {
		return err
	}
	since, err := s.r.lastEnd(ctx, s.o.Source)
	if err != nil {
		return err
	}
	tags := map[[4]byte]bool{}
	for _, l := range left {
		if l.Started.After(since) {
			tags[l.ID.Tag()] = true
		}
	}
	counted := map[PackID]bool{}
	for _, part := range s.view.Load().parts {
		s.inheritPart(part, tags, counted)
	}
	return nil
}

// inheritPart counts the packs of a fragment that bear one of the tags and were not
// counted yet.
func (s *Session) inheritPart(part viewPart, tags map[[4]byte]bool, counted map[PackID]bool) {
	mine := map[uint32]bool{}
	for n := range uint32(part.f.Packs()) { //nolint:gosec // entries count packs in 32 bits
		p, _ := part.f.Pack(n)
		if tags[p.ID.Tag()] && part.uses(n) && !counted[p.ID] {
			mine[n], counted[p.ID] = true, true
			s.stats.adoptedPacks.Add(1)
		}
	}
	if len(mine) == 0 {
		return
	}
	var entries []index.Entry
	for i := range part.f.Len() {
		if e := part.f.Entry(i); mine[e.Pack] {
			entries = append(entries, e)
		}
	}
	s.stats.adopted(entries)
}

// adopted counts blobs that were taken over.
func (c *counters) adopted(entries []index.Entry) {
	for _, e := range entries {
		c.adoptedBytes.Add(int64(e.Raw))
		c.adoptedStored.Add(int64(e.Stored))
	}
	c.adoptedBlobs.Add(int64(len(entries)))
}

// lastEnd returns when the newest snapshot of a source was finished, or the zero
// time when there is none that can be read.
func (r *Repository) lastEnd(ctx context.Context, source string) (time.Time, error) {
	refs, _, _, err := r.knownSnapshots(ctx, source)
	if err != nil {
		return time.Time{}, err
	}
	slices.SortFunc(refs, func(a, b snapshotRef) int { return b.time.Compare(a.time) })
	for _, ref := range refs {
		snap, _, err := r.readSnapshot(ctx, ref.object)
		if err == nil {
			return snap.End, nil
		}
		if ctx.Err() != nil {
			return time.Time{}, context.Cause(ctx)
		}
	}
	return time.Time{}, nil
}
