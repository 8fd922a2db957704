package repository

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository/index"
)

// recopyBatch is how many stored bytes are read before they are written again,
// in the order in which trees meet them.
const recopyBatch = 32 << 20

// Copied is what copying did. Sizes are stored bytes.
type Copied struct {
	Blobs int
	// Read from packs, and Written to new ones.
	Read    int64
	Written int64
	// Failed are the packs of which something needed could not be read: they
	// must not be deleted.
	Failed map[PackID]error
}

// copyItem is a blob to be copied.
type copyItem struct {
	met   uint32
	place place
	pack  int // in the survey
	entry index.Entry
}

// Repack copies what is kept in the chosen packs into new ones, which are durable
// and indexed when it returns. Blobs come in the order in which trees meet
// them, data and trees apart, archival ones apart from others; they are not
// compressed again, but their content ids are made again and compared.
func (c *Collector) Repack(ctx context.Context, s *Survey, chosen func(PackID) bool, progress func(bytes int64)) (Copied, error) {
	var items []copyItem
	for i, f := range s.fragments {
		of := make([]bool, f.Packs())
		for n := range of {
			p, _ := f.Pack(uint32(n))
			of[n] = s.packOf[i][n] != noPack && chosen(p.ID)
		}
		for n := range f.Len() {
			p := place{i, n}
			if !s.kept.has(s.at(p)) {
				continue
			}
			if e := f.Entry(n); of[e.Pack] {
				items = append(items, s.item(p, e))
			}
		}
	}
	return c.copy(ctx, s, items, progress)
}

// Rescue copies the blobs that are needed and kept nowhere, since all packs that
// hold them are condemned.
func (c *Collector) Rescue(ctx context.Context, s *Survey, progress func(bytes int64)) (Copied, error) {
	items := make([]copyItem, 0, len(s.rescues))
	for _, p := range s.rescues {
		items = append(items, s.item(p, s.fragments[p.fragment].Entry(p.entry)))
	}
	return c.copy(ctx, s, items, progress)
}

// item describes a blob to be copied. It is first met where its first entry is.
func (s *Survey) item(p place, e index.Entry) copyItem {
	first, _ := s.places(e.ID, func(place, index.Entry, int) bool { return false })
	return copyItem{met: s.met[s.at(first)], place: p, pack: int(s.packOf[p.fragment][e.Pack]), entry: e}
}

// archival tells for which snapshots a blob is copied: it goes where they look
// for it. One that both need is kept twice, and here is the copy of its pack.
func (s *Survey) archival(x copyItem) bool {
	first, _ := s.places(x.entry.ID, func(place, index.Entry, int) bool { return false })
	at := s.at(first)
	if normal, archival := s.tiers[0].has(at), s.tiers[1].has(at); normal != archival {
		return archival
	}
	return s.packs[x.pack].Archival
}

func (c *Collector) copy(ctx context.Context, s *Survey, items []copyItem, progress func(int64)) (Copied, error) {
	done := Copied{Failed: map[PackID]error{}}
	groups := map[bool][]copyItem{}
	for _, x := range items {
		to := s.archival(x)
		groups[to] = append(groups[to], x)
	}
	for _, archival := range []bool{false, true} {
		if len(groups[archival]) == 0 {
			continue
		}
		if err := c.copyGroup(ctx, s, groups[archival], archival, progress, &done); err != nil {
			return done, err
		}
	}
	return done, nil
}

// copyGroup copies to packs of one tier.
func (c *Collector) copyGroup(ctx context.Context, s *Survey, items []copyItem, archival bool, progress func(int64), done *Copied) error {
	slices.SortFunc(items, func(a, b copyItem) int {
		return cmp.Or(cmp.Compare(s.packs[a.pack].Kind, s.packs[b.pack].Kind), cmp.Compare(a.met, b.met))
	})
	w, err := c.writer(ctx, archival)
	if err != nil {
		return err
	}
	for len(items) > 0 && err == nil {
		n, size := 0, int64(0)
		for ; n < len(items) && (n == 0 || size+int64(items[n].entry.Stored) <= recopyBatch); n++ {
			size += int64(items[n].entry.Stored)
		}
		if err = c.copyBatch(ctx, s, w, items[:n], done); err == nil && progress != nil {
			progress(size)
		}
		items = items[n:]
	}
	stats, endErr := w.Abort(ctx) // keeps what is stored, and makes it durable
	done.Written += stats.PackBytes
	return fault.Join(err, endErr)
}

// copyBatch reads blobs pack by pack and writes them in their order.
func (c *Collector) copyBatch(ctx context.Context, s *Survey, w *Session, items []copyItem, done *Copied) error {
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := items[a], items[b]
		return cmp.Or(cmp.Compare(x.pack, y.pack), cmp.Compare(x.entry.Offset, y.entry.Offset))
	})
	records := make([][]byte, len(items)) // nil: could not be read
	var buffers []*lent
	defer func() {
		for _, b := range buffers {
			c.r.scratch.put(b)
		}
	}()
	for len(order) > 0 {
		n := together(items, order)
		first, last := items[order[0]].entry, items[order[n-1]].entry
		buf := c.r.scratch.get(int(last.Offset + last.Stored - first.Offset))
		buffers = append(buffers, buf)
		err := c.r.readPack(ctx, s.packs[items[order[0]].pack].ID, int64(first.Offset), buf.b)
		switch {
		case err == nil:
			for _, i := range order[:n] {
				e := items[i].entry
				records[i] = buf.b[e.Offset-first.Offset:][:e.Stored]
			}
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, ErrUnreachable):
			return err
		}
		order = order[n:]
	}
	for i, x := range items {
		if err := c.copyBlob(ctx, s, w, x, records[i], done); err != nil {
			return err
		}
	}
	return nil
}

// together returns how many blobs, from the first in order, are read at once.
func together(items []copyItem, order []int) int {
	x := items[order[0]]
	start, end := x.entry.Offset, x.entry.Offset+x.entry.Stored
	n := 1
	for ; n < len(order); n++ {
		y := items[order[n]]
		if y.pack != x.pack || y.entry.Offset > end+maxGap/4 || y.entry.Offset+y.entry.Stored-start > maxRead {
			break
		}
		end = max(end, y.entry.Offset+y.entry.Stored)
	}
	return n
}

// copyBlob writes one blob. When its record is not whole, it is read from
// elsewhere or with the help of parity; when that fails too, its pack stays.
func (c *Collector) copyBlob(ctx context.Context, s *Survey, w *Session, x copyItem, record []byte, done *Copied) error {
	use := s.packs[x.pack]
	done.Blobs++
	done.Read += int64(x.entry.Stored)
	if record != nil {
		err := w.recopy(ctx, use, x.entry, record)
		if err == nil || !isDamage(err) {
			return err
		}
	}
	data, err := c.r.Load(ctx, x.entry.ID, use.Kind, nil)
	if err == nil && c.r.ids.id(use.Kind, data) != x.entry.ID {
		err = &BlobError{ID: x.entry.ID, Pack: use.ID, Err: ErrDamaged}
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		s.places(x.entry.ID, func(_ place, _ index.Entry, at int) bool {
			done.Failed[s.packs[at].ID] = err
			return true
		})
		return nil //nolint:nilerr // it is told in Failed
	case w.Has(x.entry.ID) || !w.pending.Claim(x.entry.ID):
		return nil
	}
	_, err = w.store(ctx, use.Kind, x.entry.ID, data)
	return err
}

// recopy stores a blob as it is in another pack. An error that means damage says
// that it is not whole there.
func (s *Session) recopy(ctx context.Context, from PackUse, e index.Entry, record []byte) error {
	if s.Has(e.ID) {
		return nil
	}
	dec, err := s.r.decoder(from.KeyVersion, from.ID, from.Kind)
	if err != nil {
		return err
	}
	payload, code, err := dec.Payload(record, e.ID, e.Raw)
	if err != nil {
		return damage(err)
	}
	out := s.r.scratch.get(int(e.Raw))
	defer s.r.scratch.put(out)
	data, err := s.r.comp.Decode(out.b, payload, code, int(e.Raw))
	if err == nil && s.r.ids.id(from.Kind, data) != e.ID {
		err = ErrDamaged
	}
	if err != nil {
		return damage(err)
	}
	if !s.pending.Claim(e.ID) {
		return nil
	}
	w, err := s.packs.take(ctx, from.Kind, len(payload))
	if err != nil {
		return err
	}
	defer s.packs.give(w)
	entry := w.AddPayload(e.ID, e.Raw, payload, code)
	s.stats.newBlobs.Add(1)
	s.stats.storedBytes.Add(int64(entry.Stored))
	return nil
}
