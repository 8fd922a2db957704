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
// ctx ends, its cause is. wanted is sorted by offset. To use more cores and
// connections, call it for several packs at once: each takes about 12 MiB.
func (r *Repository) LoadPack(ctx context.Context, id PackID, wanted []Wanted, fn func(Wanted, []byte, error) error) error {
	slices.SortFunc(wanted, func(a, b Wanted) int { return cmp.Compare(a.Offset, b.Offset) })
	p, known := r.index.pack(id)
	l := &packLoader{r: r, id: id, kind: p.Kind, fn: fn}
	if !known {
		return l.failAll(ctx, wanted, ErrBlobMissing)
	}
	var err error
	if l.dec, err = r.decoder(p.KeyVersion, id, p.Kind); err != nil {
		return fault.New("read", id.Object(), err, "")
	}
	l.out = r.scratch.get(int(largest(wanted)))
	defer r.scratch.put(l.out)
	for len(wanted) > 0 {
		n := group(wanted)
		if err := l.group(ctx, wanted[:n]); err != nil {
			return err
		}
		wanted = wanted[n:]
	}
	return nil
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
	fn   func(Wanted, []byte, error) error
}

// group reads blobs that lie close together.
func (l *packLoader) group(ctx context.Context, wanted []Wanted) error {
	start := wanted[0].Offset
	end := uint64(0)
	for _, w := range wanted {
		end = max(end, uint64(w.Offset)+uint64(w.Stored))
	}
	buf := l.r.scratch.get(int(end - uint64(start)))
	defer l.r.scratch.put(buf)
	if err := l.r.readPack(ctx, l.id, int64(start), buf.b); err != nil {
		return l.recover(ctx, wanted, err)
	}
	var last []byte // of the blob before, which may be wanted twice
	for i, w := range wanted {
		if i > 0 && w == wanted[i-1] && last != nil {
			if err := l.fn(w, last, nil); err != nil {
				return err
			}
			continue
		}
		data, err := l.decode(w, buf.b[w.Offset-start:][:w.Stored])
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
	data, _, err := l.dec.Blob(l.out.b, record, w.ID, w.Raw)
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
