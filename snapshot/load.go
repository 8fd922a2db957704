package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/blob"
	"mahavishnu/snapshot/tree"
)

// treeLoader reads tree blobs from a repository.
type treeLoader struct{ repo *repository.Repository }

func (l treeLoader) Load(ctx context.Context, id tree.ID, buf []byte) ([]byte, error) {
	return l.repo.Load(ctx, repository.ID(id), repository.KindTree, buf)
}

// countingLoader counts what tree blobs take in the storage.
type countingLoader struct {
	treeLoader
	read *atomic.Int64
}

func (l *countingLoader) Load(ctx context.Context, id tree.ID, buf []byte) ([]byte, error) {
	data, err := l.treeLoader.Load(ctx, id, buf)
	if loc, ok := l.repo.Locate(repository.ID(id)); ok && err == nil {
		l.read.Add(int64(loc.Stored))
	}
	return data, err
}

// loadRoot reads the root directory of a snapshot.
func loadRoot(ctx context.Context, loader tree.Loader, snap repository.Snapshot) (tree.Node, error) {
	n, err := tree.LoadRoot(ctx, loader, tree.ID(snap.Root))
	if err == nil && n.Type != tree.Dir {
		err = fmt.Errorf("%w: the root is a %s", repository.ErrDamaged, n.Type)
	}
	if err != nil {
		return n, fault.New("read the root of snapshot", snap.ID, asDamage(err),
			"run `mahavishnu verify` for the extent of the damage; another snapshot of the source may be whole")
	}
	return n, nil
}

// loadXattrs fetches the attribute values of n that do not lie in the node.
// Those that cannot be read are taken out and returned as errors.
func loadXattrs(ctx context.Context, loader tree.Loader, n *tree.Node) []error {
	var errs []error
	kept := make([]tree.Xattr, 0, len(n.Xattrs))
	for _, x := range n.Xattrs {
		if !x.Spilled.IsEmpty() {
			value, err := x.Load(ctx, loader)
			if err != nil {
				errs = append(errs, fmt.Errorf("attribute %q: %w", x.Name, err))
				continue
			}
			x = tree.Xattr{Name: x.Name, Value: value}
		}
		kept = append(kept, x)
	}
	n.Xattrs = kept
	return errs
}

// damage reports whether an error is the repository's fault, as opposed to the
// end of the context or an unreachable storage.
func damage(err error) bool {
	return errors.Is(err, repository.ErrDamaged) || errors.Is(err, repository.ErrBlobMissing) ||
		errors.Is(err, tree.ErrMalformed) || errors.Is(err, tree.ErrUnknownField)
}

// confined reports whether an error costs what was to be read and nothing else:
// damage, or a pack that the storage cannot read.
func confined(err error) bool { return damage(err) || errors.Is(err, repository.ErrUnreadable) }

// asDamage makes every kind of damage wrap repository.ErrDamaged, which is what
// callers look for.
func asDamage(err error) error {
	if err == nil || !damage(err) || errors.Is(err, repository.ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", repository.ErrDamaged, err)
}

// maxBlob is the largest blob a reader makes room for.
const maxBlob = blob.MaxSize

// dataID is the id that file content has in the repository.
func dataID(repo *repository.Repository, data []byte) tree.ID {
	return tree.ID(repo.BlobID(repository.KindData, data))
}
