package repository

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"mahavishnu/repository/index"
)

// maxRefusals is how many places of one pack the storage may fail to read before
// the rest of the pack is taken for unreadable: a disk tries each bad place for
// seconds.
const maxRefusals = 8

// blobsIn returns the blobs of a pack, by the index.
func (r *Repository) blobsIn(id PackID) []ID {
	var ids []ID
	r.eachEntry(id, func(e index.Entry) { ids = append(ids, e.ID) })
	return ids
}

// eachEntry calls fn for the entries of a pack in the first fragment that has
// it. It reads the whole fragment.
func (r *Repository) eachEntry(id PackID, fn func(index.Entry)) {
	for _, f := range r.index.fragments() {
		n, ok := f.FindPack(id)
		if !ok {
			continue
		}
		for i := range f.Len() {
			if e := f.Entry(i); e.Pack == n {
				fn(e)
			}
		}
		return
	}
}

// salvage returns the blobs that the index says are in a damaged pack and that
// do not open. It reads the pack in large pieces, and in halves where that fails.
func (r *Repository) salvage(ctx context.Context, id PackID, p index.Pack) []ID {
	s := &salvager{r: r, p: p}
	var entries []index.Entry
	r.eachEntry(id, func(e index.Entry) { entries = append(entries, e) })
	slices.SortFunc(entries, func(a, b index.Entry) int { return cmp.Compare(a.Offset, b.Offset) })
	for len(entries) > 0 {
		n := 1
		for n < len(entries) && span(entries[:n+1]) <= maxRead {
			n++
		}
		s.try(ctx, entries[:n])
		entries = entries[n:]
	}
	return s.bad
}

// span is how many bytes of a pack entries take, with what is between them.
func span(entries []index.Entry) int64 {
	last := entries[len(entries)-1]
	return int64(last.Offset) + int64(last.Stored) - int64(entries[0].Offset)
}

// salvager reads what is left of one pack.
type salvager struct {
	r        *Repository
	p        index.Pack
	refusals int
	bad      []ID
}

// try reads entries at once, or in two halves when that fails.
func (s *salvager) try(ctx context.Context, entries []index.Entry) {
	if s.refusals >= maxRefusals || ctx.Err() != nil || span(entries) <= 0 {
		for _, e := range entries {
			s.bad = append(s.bad, e.ID)
		}
		return
	}
	buf := s.r.scratch.get(int(span(entries)))
	err := s.r.readPack(ctx, s.p.ID, int64(entries[0].Offset), buf.b)
	if err == nil {
		for _, e := range entries {
			s.open(e, buf.b[e.Offset-entries[0].Offset:][:e.Stored])
		}
	}
	s.r.scratch.put(buf)
	switch {
	case err == nil:
	case len(entries) > 1:
		s.try(ctx, entries[:len(entries)/2])
		s.try(ctx, entries[len(entries)/2:])
	default:
		s.bad = append(s.bad, entries[0].ID)
		if errors.Is(err, ErrUnreadable) || errors.Is(err, ErrUnreachable) {
			s.refusals++
		}
	}
}

func (s *salvager) open(e index.Entry, record []byte) {
	out := s.r.scratch.get(int(e.Raw))
	defer s.r.scratch.put(out)
	dec, err := s.r.decoder(s.p.KeyVersion, s.p.ID, s.p.Kind)
	if err == nil {
		_, _, err = dec.Blob(out.b, record, e.ID, e.Raw)
	}
	if err != nil {
		s.bad = append(s.bad, e.ID)
	}
}
