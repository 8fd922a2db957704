package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

func equalExtents(a, b tree.Content) bool {
	return a.Depth == b.Depth && slices.Equal(a.Extents, b.Extents)
}

// equalContent compares two files of a repository. Equal lists of extents settle
// it without reading; where the lists differ (other cuts, a hole here and zeros
// there) the bytes decide.
func equalContent(ctx context.Context, repo *repository.Repository, a, b *tree.Node) (bool, error) {
	if a.Size != b.Size {
		return false, nil
	}
	if equalExtents(a.Content, b.Content) {
		return true, nil
	}
	x, y := newCursor(ctx, repo, a.Content), newCursor(ctx, repo, b.Content)
	for {
		if err := errors.Join(x.fill(), y.fill()); err != nil {
			return false, err
		}
		if x.left == 0 || y.left == 0 {
			return x.left == y.left, nil
		}
		n := min(x.left, y.left)
		if x.ext.ID == y.ext.ID && x.at() == y.at() {
			x.skip(n)
			y.skip(n)
			continue
		}
		n = min(n, maxBlob)
		p, err := x.bytes(n)
		if err != nil {
			return false, err
		}
		q, err := y.bytes(n)
		if err != nil {
			return false, err
		}
		if !bytes.Equal(p, q) {
			return false, nil
		}
		x.skip(n)
		y.skip(n)
	}
}

// cursor reads a file of a repository from its beginning to its end.
type cursor struct {
	ctx  context.Context
	repo *repository.Repository
	list *tree.Extents
	ext  tree.Extent
	left uint64 // of ext
	data []byte // of ext, when loaded
	buf  []byte
}

func newCursor(ctx context.Context, repo *repository.Repository, c tree.Content) *cursor {
	return &cursor{ctx: ctx, repo: repo, list: tree.NewExtents(treeLoader{repo}, c)}
}

// fill makes ext an extent with something left, unless the file is at its end.
func (c *cursor) fill() error {
	if c.left > 0 {
		return nil
	}
	e, err := c.list.Next(c.ctx)
	if errors.Is(err, io.EOF) {
		return nil
	}
	c.ext, c.left, c.data = e, e.Length, nil
	return err
}

// at is the place within the extent; all of a hole is alike.
func (c *cursor) at() uint64 {
	if c.ext.Hole() {
		return 0
	}
	return c.ext.Length - c.left
}

func (c *cursor) skip(n uint64) { c.left -= n }

// bytes returns the next n bytes, which must be in the extent.
func (c *cursor) bytes(n uint64) ([]byte, error) {
	if c.ext.Hole() {
		return make([]byte, n), nil
	}
	if c.data == nil {
		data, err := c.repo.Load(c.ctx, repository.ID(c.ext.ID), repository.KindData, c.buf)
		if err != nil {
			return nil, err
		}
		if uint64(len(data)) != c.ext.Length {
			return nil, fmt.Errorf("%w: a blob of %d bytes where %d are due", repository.ErrDamaged, len(data), c.ext.Length)
		}
		c.data, c.buf = data, data[:0]
	}
	at := c.at()
	return c.data[at : at+n], nil
}
