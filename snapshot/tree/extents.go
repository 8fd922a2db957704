package tree

import (
	"context"
	"encoding/binary"
	"io"
)

// InlineExtents is the longest extent list kept inside a node; longer ones
// spill into tree blobs.
const InlineExtents = 64

// A spilled list is cut after an extent whose id says so, so that lists which
// differ in one extent share all their blobs but one or two.
const (
	listMin  = 256  // extents; more than InlineExtents, see ContentWriter.Finish
	listMax  = 4096 // extents, at most 172 KiB
	listMask = 1<<10 - 1
)

// ContentWriter collects extents in order and spills them as they grow, so that
// its memory does not depend on how many there are. The zero value is not
// usable: see [NewContentWriter].
type ContentWriter struct {
	saver  Saver
	levels []level
	buf    []byte
}

type level struct {
	extents []Extent
	flushed bool // an earlier part of this level is already in the level above
}

// NewContentWriter returns a writer that spills to saver.
func NewContentWriter(saver Saver) *ContentWriter { return &ContentWriter{saver: saver} }

// Add appends an extent. Extents without length are dropped and neighbouring
// holes become one.
func (w *ContentWriter) Add(ctx context.Context, e Extent) error { return w.add(ctx, 0, e) }

func (w *ContentWriter) add(ctx context.Context, depth int, e Extent) error {
	if e.Length == 0 {
		return nil
	}
	if depth == len(w.levels) {
		w.levels = append(w.levels, level{})
	}
	list := w.levels[depth].extents
	if last := len(list) - 1; last >= 0 && depth == 0 && e.Hole() && list[last].Hole() {
		list[last].Length += e.Length
		return nil
	}
	if endsList(list) {
		if err := w.flush(ctx, depth); err != nil {
			return err
		}
	}
	l := &w.levels[depth]
	l.extents = append(l.extents, e)
	return nil
}

// endsList reports whether a list is complete as it stands.
func endsList(list []Extent) bool {
	if len(list) < listMin {
		return false
	}
	last := list[len(list)-1]
	return len(list) >= listMax || !last.Hole() && binary.LittleEndian.Uint32(last.ID[:])&listMask == 0
}

// flush saves the pending extents of one level and names them in the next.
func (w *ContentWriter) flush(ctx context.Context, depth int) error {
	l := &w.levels[depth]
	w.buf = append(w.buf[:0], blobExtents, blobVersion)
	var sum uint64
	for _, e := range l.extents {
		w.buf = appendExtent(w.buf, e)
		sum += e.Length
	}
	id, err := w.saver.Save(ctx, w.buf)
	if err != nil {
		return err
	}
	l.extents = l.extents[:0]
	l.flushed = true
	return w.add(ctx, depth+1, Extent{ID: id, Length: sum})
}

// Finish returns the content. The writer is empty again afterwards.
func (w *ContentWriter) Finish(ctx context.Context) (Content, error) {
	for depth := 0; depth < len(w.levels); depth++ {
		l := &w.levels[depth]
		if !l.flushed && len(l.extents) <= InlineExtents {
			c := Content{Depth: uint8(depth), Extents: append([]Extent(nil), l.extents...)}
			w.levels = w.levels[:0]
			if c.IsEmpty() {
				return Content{}, nil
			}
			return c, nil
		}
		if len(l.extents) > 0 {
			if err := w.flush(ctx, depth); err != nil {
				return Content{}, err
			}
		}
	}
	return Content{}, nil
}

// Extents iterates over the extents of depth 0 of a content, loading spilled
// lists as it comes to them.
type Extents struct {
	loader Loader
	stack  []frame
}

type frame struct {
	depth   uint8
	extents []Extent
}

// NewExtents starts at the first extent of c.
func NewExtents(loader Loader, c Content) *Extents {
	return &Extents{loader: loader, stack: []frame{{c.Depth, c.Extents}}}
}

// Next returns the next extent, io.EOF at the end, or a [*BlobError] when a
// spilled list cannot be read: then what the list covered is passed over, and
// the following call goes on behind it.
func (x *Extents) Next(ctx context.Context) (Extent, error) {
	for len(x.stack) > 0 {
		top := &x.stack[len(x.stack)-1]
		if len(top.extents) == 0 {
			x.stack = x.stack[:len(x.stack)-1]
			continue
		}
		e := top.extents[0]
		top.extents = top.extents[1:]
		if top.depth == 0 {
			return e, nil
		}
		list, err := loadExtents(ctx, x.loader, e, top.depth-1)
		if err != nil {
			return Extent{}, err
		}
		x.stack = append(x.stack, frame{top.depth - 1, list})
	}
	return Extent{}, io.EOF
}

// loadExtents fetches the list that e names; its extents are of the given depth.
func loadExtents(ctx context.Context, loader Loader, e Extent, depth uint8) ([]Extent, error) {
	list, err := func() ([]Extent, error) {
		b, err := loader.Load(ctx, e.ID, nil)
		if err != nil {
			return nil, err
		}
		if b, err = openBlob(b, blobExtents); err != nil {
			return nil, err
		}
		s := scanner{b: b}
		c := Content{Depth: depth, Extents: s.extents()}
		if s.err != nil {
			return nil, s.err
		}
		if err := c.check(true); err != nil {
			return nil, err
		}
		if got := c.Length(); got != e.Length {
			return nil, malformed("extents of %d where %d are due", got, e.Length)
		}
		return c.Extents, nil
	}()
	if err != nil {
		return nil, newBlobError(e, err)
	}
	return list, nil
}
