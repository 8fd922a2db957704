package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// ChangeOp says what became of an entry.
type ChangeOp string

// The kinds of change.
const (
	Added   ChangeOp = "added"
	Removed ChangeOp = "removed"
	Altered ChangeOp = "changed"
)

// Change is one difference between two trees. Of a directory that was added or
// removed every entry is one.
type Change struct {
	Op   ChangeOp `json:"op"`
	Path string   `json:"path"` // bytes, see Printable; "" is the root
	// Type of the entry, after the change if there was one.
	Type string `json:"type"`
	// What differs of a changed entry: "type", "content", "links" (which names
	// share an inode) and the pieces of metadata "mode", "owner", "time",
	// "target", "device", "attributes".
	What []string `json:"what,omitempty"`
	// Sizes before and after, of files.
	Before uint64 `json:"before,omitempty"`
	After  uint64 `json:"after,omitempty"`
}

// Diff calls fn for every difference from snapshot a to snapshot b, in the order
// of the tree: in content, and in the metadata that a restore must keep. Inode
// numbers, change times, owners' names and the layout of holes are not compared.
// Identical subtrees cost nothing, and equal content is not read. A damaged
// tree ends the comparison, because what it lost would look removed.
func Diff(ctx context.Context, repo *repository.Repository, a, b repository.Snapshot, fn func(Change) error) error {
	d := &differ{repo: repo, loader: treeLoader{repo}, fn: fn, linksA: map[uint64]uint64{}, linksB: map[uint64]uint64{}}
	rootA, err := loadRoot(ctx, d.loader, a)
	if err != nil {
		return err
	}
	rootB, err := loadRoot(ctx, d.loader, b)
	if err != nil {
		return err
	}
	err = d.pair(ctx, "", &rootA, &rootB)
	if lost := new(tree.BlobError); errors.As(err, &lost) {
		return fault.New("compare snapshots", a.ID+" and "+b.ID, asDamage(err), "run `mahavishnu verify` to learn what is damaged")
	}
	return err
}

type differ struct {
	repo   *repository.Repository
	loader tree.Loader
	fn     func(Change) error
	// Hard-link groups of one side by those of the other: the first name of
	// each group decides, the others must agree.
	linksA, linksB map[uint64]uint64
}

// pair compares two entries of one name.
func (d *differ) pair(ctx context.Context, path string, a, b *tree.Node) error {
	if a.Type != b.Type {
		if err := d.one(ctx, Removed, path, a); err != nil {
			return err
		}
		return d.one(ctx, Added, path, b)
	}
	var what []string
	if b.Type == tree.File {
		same, err := equalContent(ctx, d.repo, a, b)
		if err != nil {
			return err
		}
		if !same {
			what = append(what, "content")
		}
	}
	if b.Type != tree.Dir && !d.sameLinks(a.LinkGroup, b.LinkGroup) {
		what = append(what, "links")
	}
	meta, err := d.meta(ctx, a, b)
	if err != nil {
		return err
	}
	if what = append(what, meta...); len(what) > 0 {
		c := Change{Op: Altered, Path: path, Type: b.Type.String(), What: what, Before: a.Size, After: b.Size}
		if err := d.fn(c); err != nil {
			return err
		}
	}
	if b.Type != tree.Dir || equalExtents(a.Content, b.Content) {
		return nil
	}
	return d.dirs(ctx, path, a.Content, b.Content)
}

// sameLinks reports whether the names met so far are linked alike on both sides.
func (d *differ) sameLinks(a, b uint64) bool {
	same := true
	agree := func(seen map[uint64]uint64, group, other uint64) {
		if group == 0 {
			return
		}
		if first, ok := seen[group]; ok {
			same = same && other != 0 && first == other
			return
		}
		seen[group] = other
	}
	agree(d.linksA, a, b)
	agree(d.linksB, b, a)
	return same
}

func (d *differ) meta(ctx context.Context, a, b *tree.Node) ([]string, error) {
	x, y := *a, *b
	if slices.EqualFunc(x.Xattrs, y.Xattrs, func(x, y tree.Xattr) bool {
		return bytes.Equal(x.Name, y.Name) && bytes.Equal(x.Value, y.Value) && equalExtents(x.Spilled, y.Spilled)
	}) {
		x.Xattrs, y.Xattrs = nil, nil
	} else if err := errors.Join(append(loadXattrs(ctx, d.loader, &x), loadXattrs(ctx, d.loader, &y)...)...); err != nil {
		return nil, err
	}
	return metaDiff(&x, &y), nil
}

// one reports an entry that is on one side only, with everything below it.
func (d *differ) one(ctx context.Context, op ChangeOp, path string, n *tree.Node) error {
	c := Change{Op: op, Path: path, Type: n.Type.String()}
	if op == Added {
		c.After = n.Size
	} else {
		c.Before = n.Size
	}
	if err := d.fn(c); err != nil || n.Type != tree.Dir {
		return err
	}
	if op == Added {
		return d.dirs(ctx, path, tree.Content{}, n.Content)
	}
	return d.dirs(ctx, path, n.Content, tree.Content{})
}

// dirs compares two directories, both in order of names.
func (d *differ) dirs(ctx context.Context, path string, a, b tree.Content) error {
	left, right := newPeeker(ctx, d.loader, a), newPeeker(ctx, d.loader, b)
	for {
		x, err := left.peek()
		if err != nil {
			return fmt.Errorf("directory %q: %w", Printable(path), err)
		}
		y, err := right.peek()
		if err != nil {
			return fmt.Errorf("directory %q: %w", Printable(path), err)
		}
		order := 0
		switch {
		case x == nil && y == nil:
			return nil
		case x == nil:
			order = 1
		case y == nil:
			order = -1
		default:
			order = bytes.Compare(x.Name, y.Name)
		}
		switch {
		case order < 0:
			left.next = nil
			err = d.one(ctx, Removed, join(path, string(x.Name)), x)
		case order > 0:
			right.next = nil
			err = d.one(ctx, Added, join(path, string(y.Name)), y)
		default:
			left.next, right.next = nil, nil
			err = d.pair(ctx, join(path, string(x.Name)), x, y)
		}
		if err != nil {
			return err
		}
	}
}

// peeker reads a directory one entry ahead.
type peeker struct {
	ctx    context.Context
	reader *tree.Reader
	next   *tree.Node
}

func newPeeker(ctx context.Context, loader tree.Loader, c tree.Content) *peeker {
	return &peeker{ctx: ctx, reader: tree.NewReader(loader, c)}
}

// peek returns the next entry, nil at the end. Setting next to nil takes it.
func (p *peeker) peek() (*tree.Node, error) {
	if p.next == nil {
		n, err := p.reader.Next(p.ctx)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		p.next = &n
	}
	return p.next, nil
}
