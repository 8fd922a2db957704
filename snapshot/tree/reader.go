package tree

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sort"
)

// Reader yields the entries of one directory in byte order of their names.
type Reader struct {
	loader  Loader
	extents *Extents
	blob    scanner
	extent  Extent // that blob was loaded for
	left    uint64 // entries of it still to come
	last    []byte
	names   map[string]string
}

// NewReader starts at the first entry of a directory's content.
func NewReader(loader Loader, c Content) *Reader {
	return &Reader{loader: loader, extents: NewExtents(loader, c)}
}

// Next returns the next entry, io.EOF at the end, or a [*BlobError] when a blob
// cannot be read: then its entries are passed over and the following call goes
// on behind them. The node shares no memory with the reader.
func (r *Reader) Next(ctx context.Context) (Node, error) {
	for r.left == 0 {
		e, err := r.extents.Next(ctx)
		if err != nil {
			return Node{}, err
		}
		b, err := loadBlob(ctx, r.loader, e, blobEntries)
		if err != nil {
			return Node{}, err
		}
		r.blob, r.extent, r.left = scanner{b: b}, e, e.Length
	}
	n, err := r.next()
	if err != nil {
		lost := Extent{ID: r.extent.ID, Length: r.left}
		r.left = 0
		return Node{}, newBlobError(lost, err)
	}
	return n, nil
}

func (r *Reader) next() (Node, error) {
	body := r.blob.prefixed()
	if r.blob.err != nil {
		return Node{}, r.blob.err
	}
	n, err := DecodeNode(bytes.Clone(body), r.intern)
	if err != nil {
		return Node{}, err
	}
	if why := validName(n.Name); why != "" {
		return Node{}, malformed("%s", why)
	}
	if bytes.Compare(r.last, n.Name) >= 0 {
		return Node{}, malformed("%q after %q", n.Name, r.last)
	}
	if r.left == 1 && len(r.blob.b) > 0 {
		return Node{}, malformed("more entries than announced")
	}
	r.left--
	r.last = append(r.last[:0], n.Name...)
	return n, nil
}

// intern keeps one copy of each user and group name. A directory whose entries
// have very many owners is not worth remembering them for.
func (r *Reader) intern(b []byte) string {
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	if r.names == nil || len(r.names) > 256 {
		r.names = map[string]string{}
	}
	s := string(b)
	r.names[s] = s
	return s
}

// Lookup finds one entry of a directory without reading all of it. The error is
// [ErrNotFound] when there is none of that name.
func Lookup(ctx context.Context, loader Loader, c Content, name []byte) (Node, error) {
	for {
		e, ok, err := covering(ctx, loader, c, name)
		if err != nil {
			return Node{}, err
		}
		if !ok {
			return Node{}, ErrNotFound
		}
		c = Content{Depth: c.Depth, Extents: []Extent{e}}
		if c.Depth == 0 {
			break
		}
		list, err := loadExtents(ctx, loader, e, c.Depth-1)
		if err != nil {
			return Node{}, err
		}
		c = Content{Depth: c.Depth - 1, Extents: list}
	}
	for r := NewReader(loader, c); ; {
		n, err := r.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return Node{}, ErrNotFound
		case err != nil:
			return Node{}, err
		}
		switch bytes.Compare(n.Name, name) {
		case 0:
			return n, nil
		case 1:
			return Node{}, ErrNotFound
		}
	}
}

// covering returns the extent of c that would hold name: the last whose first
// entry is not behind it.
func covering(ctx context.Context, loader Loader, c Content, name []byte) (Extent, bool, error) {
	if len(c.Extents) < 2 {
		return append(c.Extents, Extent{})[0], len(c.Extents) == 1, nil
	}
	var failed error
	behind := sort.Search(len(c.Extents), func(i int) bool {
		if failed != nil {
			return true
		}
		first, err := NewReader(loader, Content{Depth: c.Depth, Extents: c.Extents[i : i+1]}).Next(ctx)
		if err != nil {
			failed = err
			return true
		}
		return bytes.Compare(first.Name, name) > 0
	})
	if failed != nil || behind == 0 {
		return Extent{}, false, failed
	}
	return c.Extents[behind-1], true, nil
}

// LoadRoot reads a snapshot's root node.
func LoadRoot(ctx context.Context, loader Loader, id ID) (Node, error) {
	e := Extent{ID: id, Length: 1}
	b, err := loadBlob(ctx, loader, e, blobEntries)
	if err != nil {
		return Node{}, err
	}
	s := scanner{b: b}
	body := s.prefixed()
	if s.err == nil && len(s.b) > 0 {
		s.fail("more than one root")
	}
	var n Node
	if err = s.err; err == nil {
		n, err = DecodeNode(bytes.Clone(body), nil)
	}
	if err == nil && len(n.Name) > 0 {
		err = malformed("a root with a name")
	}
	if err != nil {
		return Node{}, newBlobError(e, err)
	}
	return n, nil
}

func loadBlob(ctx context.Context, loader Loader, e Extent, kind byte) ([]byte, error) {
	if e.Hole() {
		return nil, newBlobError(e, malformed("a hole where a blob is due"))
	}
	b, err := loader.Load(ctx, e.ID, nil)
	if err == nil {
		b, err = openBlob(b, kind)
	}
	if err != nil {
		return nil, newBlobError(e, err)
	}
	return b, nil
}
