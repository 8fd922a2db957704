package repository

import (
	"container/list"
	"context"
)

// Trees are read in windows of this many bytes, of which this many are kept:
// one session's trees lie together, and near those of the next.
const (
	treeWindow  = 1 << 20
	treeWindows = 24
)

// TreeReader loads tree blobs one by one, and reads what lies around them along
// with them. It is for walks that meet most trees of a repository, and is used by
// one goroutine.
type TreeReader struct {
	r     *Repository
	known map[treePiece]*list.Element // of window
	order list.List                   // last used first
}

// treePiece is a window of a pack.
type treePiece struct {
	pack PackID
	n    uint32
}

type window struct {
	piece treePiece
	data  []byte
}

// TreeReader returns a reader of trees. It takes up to 24 MiB.
func (r *Repository) TreeReader() *TreeReader {
	return &TreeReader{r: r, known: map[treePiece]*list.Element{}}
}

// Load returns a tree blob, in buf's space when it is large enough. The error is
// that of Repository.Load.
func (t *TreeReader) Load(ctx context.Context, id ID, buf []byte) ([]byte, error) {
	data, err := t.near(ctx, id, buf)
	if err == nil || ctx.Err() != nil {
		return data, err
	}
	return t.r.Load(ctx, id, KindTree, buf) // from elsewhere, or by parity
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
		n := pos / treeWindow
		data, err := t.window(ctx, treePiece{loc.Pack, n}, p.Size)
		if err != nil {
			return nil, err
		}
		from := pos - n*treeWindow
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

// window returns a part of a pack.
func (t *TreeReader) window(ctx context.Context, piece treePiece, size uint32) ([]byte, error) {
	if e, ok := t.known[piece]; ok {
		t.order.MoveToFront(e)
		return e.Value.(*window).data, nil
	}
	start := piece.n * treeWindow
	if start >= size {
		return nil, ErrDamaged
	}
	var w *window
	if t.order.Len() < treeWindows {
		w = &window{data: make([]byte, treeWindow)}
	} else {
		last := t.order.Back()
		w = t.order.Remove(last).(*window)
		delete(t.known, w.piece)
	}
	w.piece, w.data = piece, w.data[:min(treeWindow, size-start)]
	if err := t.r.readPack(ctx, piece.pack, int64(start), w.data); err != nil {
		return nil, err
	}
	t.known[piece] = t.order.PushFront(w)
	return w.data, nil
}
