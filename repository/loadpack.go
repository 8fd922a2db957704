package repository

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository/blob"
	"mahavishnu/repository/ledger"
	"mahavishnu/repository/pack"
	"mahavishnu/storage"
)

// Reads of one pack are joined when less than maxGap lies between them, up to
// maxRead at a time: a gap read in vain costs less than another request.
const (
	maxGap  = 256 << 10
	maxRead = 8 << 20
)

// Wanted is a blob to be read from a pack, as Locate gave it.
type Wanted struct {
	ID     ID
	Offset uint32
	Stored uint32
	Raw    uint32
}

// LoadPack reads the wanted blobs of one pack with few, large reads, and calls
// fn for each of them once, in the order of their offsets, from one goroutine:
// with the bytes, which are valid until fn returns and not to be changed, or
// with a *BlobError. A blob that is damaged here but stored elsewhere too is read
// from there. An error from fn ends the reading and is returned as it is; when
// ctx ends, its cause is. wanted is sorted by offset.
//
// room, which may be nil, is asked before each call of fn for memory that the
// blob may be expanded into. It is used when it has w.Raw bytes, and not for
// blobs that were stored as they are.
//
// read counts the bytes taken from the pack. To use more cores and connections,
// call it for several packs at once: each takes about 2 MiB beside the room.
func (r *Repository) LoadPack(ctx context.Context, id PackID, wanted []Wanted, room func(w Wanted) []byte,
	fn func(w Wanted, data []byte, err error) error,
) (read int64, err error) {
	slices.SortFunc(wanted, func(a, b Wanted) int { return cmp.Compare(a.Offset, b.Offset) })
	p, known := r.index.pack(id)
	l := &packLoader{r: r, id: id, kind: p.Kind, room: room, fn: fn}
	if !known {
		return 0, l.failAll(ctx, wanted, ErrBlobMissing)
	}
	if l.dec, err = r.decoder(p.KeyVersion, id, p.Kind); err != nil {
		return 0, fault.New("read", id.Object(), err, "")
	}
	l.out = r.scratch.get(int(largest(wanted)))
	defer r.scratch.put(l.out)
	for len(wanted) > 0 {
		n := group(wanted)
		if err := l.group(ctx, wanted[:n]); err != nil {
			return l.read, err
		}
		wanted = wanted[n:]
	}
	return l.read, nil
}

// largest returns the size of the largest blob wanted.
func largest(wanted []Wanted) uint32 {
	var n uint32
	for _, w := range wanted {
		n = max(n, w.Raw)
	}
	return min(n, blob.MaxSize) // more is told when it is opened
}

// group returns how many of the wanted blobs, from the first, are read at once.
func group(wanted []Wanted) int {
	start := uint64(wanted[0].Offset)
	end := start + uint64(wanted[0].Stored)
	n := 1
	for ; n < len(wanted); n++ {
		w := wanted[n]
		next := max(end, uint64(w.Offset)+uint64(w.Stored))
		if uint64(w.Offset) > end+maxGap || next-start > maxRead {
			break
		}
		end = next
	}
	return n
}

// packLoader reads from one pack.
type packLoader struct {
	r    *Repository
	id   PackID
	kind Kind
	dec  pack.Decoder
	out  *lent // space for a blob
	room func(Wanted) []byte
	fn   func(Wanted, []byte, error) error
	read int64
}

// group reads blobs that lie close together, with one request: a piece at a
// time, which is still in the processor's cache when it is decoded.
func (l *packLoader) group(ctx context.Context, wanted []Wanted) error {
	name, pos, end := l.id.Object(), int64(wanted[0].Offset), int64(0)
	for _, w := range wanted {
		end = max(end, int64(w.Offset)+int64(w.Stored))
	}
	in, err := l.r.be.Get(ctx, name, pos, end-pos)
	if err != nil {
		return l.recover(ctx, wanted, l.r.reach.heard(ctx, l.id, err))
	}
	for len(wanted) > 0 {
		if ctx.Err() != nil { // what was read is handed over, no more is read
			return errors.Join(context.Cause(ctx), in.Close())
		}
		n, stop := piece(pos, wanted)
		buf := l.r.scratch.get(int(stop - pos))
		if err = storage.ReadNext(ctx, in, name, buf.b); err == nil {
			l.read += stop - pos
			err = l.piece(ctx, wanted[:n], pos, buf.b)
			l.r.scratch.put(buf)
			if err != nil {
				return errors.Join(err, in.Close())
			}
			wanted, pos = wanted[n:], stop
			continue
		}
		l.r.scratch.put(buf)
		break
	}
	if err = l.r.reach.heard(ctx, l.id, errors.Join(err, in.Close())); err != nil {
		return l.recover(ctx, wanted, err)
	}
	return nil
}

// piece returns how many of the wanted blobs, which lie close together from pos
// on, are read next, and where that ends. Two that share bytes are read at once.
func piece(pos int64, wanted []Wanted) (n int, end int64) {
	for _, w := range wanted {
		stop := int64(w.Offset) + int64(w.Stored)
		if n > 0 && int64(w.Offset) >= end && stop-pos > pieceSize {
			break
		}
		n, end = n+1, max(end, stop)
	}
	return n, end
}

// piece decodes blobs out of the bytes of the pack from start on.
func (l *packLoader) piece(ctx context.Context, wanted []Wanted, start int64, buf []byte) error {
	var last []byte // of the blob before, which may be wanted twice
	for i, w := range wanted {
		if i > 0 && w == wanted[i-1] && last != nil {
			if err := l.fn(w, last, nil); err != nil {
				return err
			}
			continue
		}
		data, err := l.decode(w, buf[int64(w.Offset)-start:][:w.Stored])
		last = data
		if err := l.deliver(ctx, w, data, err); err != nil {
			return err
		}
	}
	return nil
}

func (l *packLoader) decode(w Wanted, record []byte) ([]byte, error) {
	if d := l.r.doubts.Load().of(l.id, w.ID); d.Why == ledger.Content {
		return nil, errDoubted(d)
	}
	space := l.out.b
	if l.room != nil {
		if b := l.room(w); cap(b) >= int(w.Raw) {
			space = b
		}
	}
	data, _, err := l.dec.Blob(space, record, w.ID, w.Raw)
	return data, err
}

// deliver hands a blob to fn, from another pack when this one failed.
func (l *packLoader) deliver(ctx context.Context, w Wanted, data []byte, err error) error {
	if err == nil {
		return l.fn(w, data, nil)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	failed := &BlobError{ID: w.ID, Pack: l.id, Err: blobCause(err)}
	data, err = l.r.loadElsewhere(ctx, w.ID, l.kind, nil, failed)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.fn(w, data, err)
}

// recover reads blobs one by one after reading them together failed: the pack
// may be cut short, or the disk may fail in one place only.
func (l *packLoader) recover(ctx context.Context, wanted []Wanted, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return l.failAll(ctx, wanted, err)
	}
	for _, w := range wanted {
		record := l.r.scratch.get(int(w.Stored))
		err := l.r.readPack(ctx, l.id, int64(w.Offset), record.b)
		var data []byte
		if err == nil {
			l.read += int64(w.Stored)
			data, err = l.decode(w, record.b)
		}
		err = l.deliver(ctx, w, data, err)
		l.r.scratch.put(record)
		if err != nil {
			return err
		}
	}
	return nil
}

// failAll looks for every blob elsewhere.
func (l *packLoader) failAll(ctx context.Context, wanted []Wanted, err error) error {
	for _, w := range wanted {
		if err := l.deliver(ctx, w, nil, err); err != nil {
			return err
		}
	}
	return nil
}
