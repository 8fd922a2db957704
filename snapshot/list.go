package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// ErrNoPath means that the snapshot has no entry of that path.
var ErrNoPath = errors.New("no such file or directory in the snapshot")

// List calls fn for the entry at path ("" is the root), or when it is a
// directory for what is in it; recursively, for everything below it. Entries
// come in the order of the tree, directories before what is in them. Where a
// part of the tree is damaged the rest is listed, and the error, which wraps
// repository.ErrDamaged, comes at the end.
func List(ctx context.Context, repo *repository.Repository, snap repository.Snapshot, path string, recursive bool, fn func(path string, n tree.Node) error) error {
	loader := treeLoader{repo}
	n, path, err := find(ctx, loader, snap, path)
	if err != nil {
		return err
	}
	if n.Type != tree.Dir {
		return fn(path, n)
	}
	l := lister{loader: loader, recursive: recursive, fn: fn}
	if err := l.dir(ctx, path, n.Content); err != nil {
		return err
	}
	if l.damage != nil {
		return fault.New("list snapshot", snap.ID, asDamage(l.damage), "run `mahavishnu verify` for the extent of the damage")
	}
	return nil
}

type lister struct {
	loader    tree.Loader
	recursive bool
	fn        func(string, tree.Node) error
	damage    error // the first
}

func (l *lister) dir(ctx context.Context, path string, c tree.Content) error {
	for reader := tree.NewReader(l.loader, c); ; {
		n, err := reader.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			if l.damage == nil {
				l.damage = fmt.Errorf("directory %q: %s lost: %w", Printable(path), entries(err), err)
			}
			continue
		}
		at := join(path, string(n.Name))
		if err := l.fn(at, n); err != nil {
			return err
		}
		if l.recursive && n.Type == tree.Dir {
			if err := l.dir(ctx, at, n.Content); err != nil {
				return err
			}
		}
	}
}

// find looks an entry up by its path; empty names in the path do not count.
func find(ctx context.Context, loader tree.Loader, snap repository.Snapshot, path string) (tree.Node, string, error) {
	n, err := loadRoot(ctx, loader, snap)
	if err != nil {
		return n, "", err
	}
	at := ""
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		at = join(at, name)
		if n.Type == tree.Dir {
			n, err = tree.Lookup(ctx, loader, n.Content, []byte(name))
		} else {
			err = tree.ErrNotFound
		}
		if errors.Is(err, tree.ErrNotFound) {
			return n, at, fault.New("find in snapshot "+snap.ID, Printable(at), ErrNoPath, "`mahavishnu ls "+snap.ID+"` shows what there is; paths start at the source's root")
		}
		if err != nil {
			return n, at, fault.New("find in snapshot "+snap.ID, Printable(at), asDamage(err), "run `mahavishnu verify` for the extent of the damage")
		}
	}
	return n, at, nil
}
