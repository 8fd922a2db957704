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
	var damage firstLoss
	err = eachEntry(ctx, loader, path, n.Content, damage.note, func(at string, n tree.Node) (bool, error) { return recursive, fn(at, n) })
	if err != nil {
		return err
	}
	if damage.err != nil {
		return fault.New("list snapshot", snap.ID, asDamage(damage.err), "run `mahavishnu verify` for the extent of the damage")
	}
	return nil
}

// firstLoss is the first part of a directory that could not be read.
type firstLoss struct{ err error }

func (l *firstLoss) note(path string, err error) {
	if l.err == nil {
		l.err = fmt.Errorf("directory %q: %s lost: %w", Printable(path), entries(err), err)
	}
}

// eachEntry calls fn for each entry of a directory, in the order of the tree, and then for
// those of each directory that fn wants to see below. lost hears of each part of a
// directory, at path, that cannot be read.
func eachEntry(ctx context.Context, loader tree.Loader, path string, c tree.Content, lost func(path string, err error), fn func(at string, n tree.Node) (below bool, err error)) error {
	for reader := tree.NewReader(loader, c); ; {
		n, err := reader.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			lost(path, err)
			continue
		}
		at := join(path, string(n.Name))
		below, err := fn(at, n)
		if err == nil && below && n.Type == tree.Dir {
			err = eachEntry(ctx, loader, at, n.Content, lost, fn)
		}
		if err != nil {
			return err
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
