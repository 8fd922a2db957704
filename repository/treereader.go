package repository

import (
	"container/list"
	"context"
	"sync"
)

// Trees are read in windows, of which some are kept: one session's trees lie
// together, and near those of the next. Walks of a whole repository use large ones.
// Where each request takes long, every tree is read so, in smaller ones, since who looks
// for a single tree pays for all of its window.
const (
	treeWindow     = 1 << 20
	treeWindows    = 24
	farTreeWindow  = 256 << 10
	farTreeWindows = 48
)

// TreeReader loads tree blobs one by one, and reads what lies around them along
// with them. It is safe for concurrent use.
type TreeReader struct {
	r     *Repository
	size  uint32 // of a window, in bytes
	count int    // of windows

	mu    sync.Mutex
	known map[treePiece]*list.Element // of *window
	order list.List                   // last used first
}

// treePiece is a window of a pack.
type treePiece struct {
	pack PackID
	n    uint32
}

// window is a part of a pack, or why it could not be read, once that is known.
type window struct {
	piece treePiece
	read  chan struct{} // closed when data or err is there
	data  []byte
	err   error
}

// TreeReader returns a reader of trees for walks that meet most of a repository's. It
// takes up to 24 MiB.
func (r *Repository) TreeReader() *TreeReader { return newTreeReader(r, treeWindow, treeWindows) }

func newTreeReader(r *Repository, size uint32, count int) *TreeReader {
	return &TreeReader{r: r, size: size, count: count, known: map[treePiece]*list.Element{}}
}

// Load returns a tree blob, in buf's space when it is large enough. The error is
// that of Repository.Load.
func (t *TreeReader) Load(ctx context.Context, id ID, buf []byte) ([]byte, error) {
	data, err := t.near(ctx, id, buf)
	if err == nil || ctx.Err() != nil {
		return data, err
	}
	return t.r.loadElsewhere(ctx, id, KindTree, buf, nil) // or by parity
}

func (t *TreeReader) near(ctx context.Context, id ID, buf []byte) ([]byte, error) {
	loc, ok := t.r.Locate(id)
	if !ok || t.r.Doubted(loc.Pack, id) {
		return nil, ErrBlobMissing
	}
	p, ok := t.r.index.pack(loc.Pack)
	if !ok {
		return nil, ErrBlobMissing
	}
	record := make([]byte, 0, loc.Stored)
	for pos, end := loc.Offset, loc.Offset+loc.Stored; pos < end; {
		n := pos / t.size
		data, err := t.window(ctx, treePiece{loc.Pack, n}, p.Size)
		if err != nil {
			return nil, err
		}
		from := pos - n*t.size
		if int(from) >= len(data) {
			return nil, ErrDamaged
		}
		part := data[from:min(uint32(len(data)), from+end-pos)]
		record = append(record, part...)
		pos += uint32(len(part))
	}
	dec, err := t.r.decoder(p.KeyVersion, p.ID, p.Kind)
	if err != nil {
		return nil, err
	}
	data, inRecord, err := dec.Blob(buf, record, id, loc.Raw)
	if inRecord {
		data = append(buf[:0], data...)
	}
	return data, err
}

// window returns a part of a pack. Of those who want one at the same time the first reads it.
func (t *TreeReader) window(ctx context.Context, piece treePiece, size uint32) ([]byte, error) {
	start := piece.n * t.size
	if start >= size {
		return nil, ErrDamaged
	}
	w, isNew := t.take(piece)
	if !isNew {
		select {
		case <-w.read:
			return w.data, w.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	data := make([]byte, min(t.size, size-start))
	if w.err = t.r.readPack(ctx, piece.pack, int64(start), data); w.err == nil {
		w.data = data
	} else {
		t.drop(w)
	}
	close(w.read)
	return w.data, w.err
}

// take returns the window of a piece, a new one in place of that which was not used
// for the longest time.
func (t *TreeReader) take(piece treePiece) (w *window, isNew bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.known[piece]; ok {
		t.order.MoveToFront(e)
		return e.Value.(*window), false
	}
	if t.order.Len() >= t.count {
		last := t.order.Remove(t.order.Back()).(*window)
		delete(t.known, last.piece)
	}
	w = &window{piece: piece, read: make(chan struct{})}
	t.known[piece] = t.order.PushFront(w)
	return w, true
}

// drop forgets a window that could not be read: the next who wants it tries again.
func (t *TreeReader) drop(w *window) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.known[w.piece]; ok && e.Value.(*window) == w {
		t.order.Remove(e)
		delete(t.known, w.piece)
	}
}
