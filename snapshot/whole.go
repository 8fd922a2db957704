package snapshot

import (
	"cmp"
	"context"
	"fmt"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// Whole returns nil when the snapshot would restore, as far as can be told
// without reading file content: its tree can be walked, and every blob it refers
// to lies in a pack that is there, and no verification found it damaged. The error names the first loss and wraps
// repository.ErrDamaged or, when the storage could not read it,
// repository.ErrUnreadable.
func Whole(ctx context.Context, repo *repository.Repository, snap repository.Snapshot) error {
	sizes := map[repository.PackID]int64{}
	err := repo.Packs(ctx, func(p repository.PackInfo) error {
		sizes[p.ID] = p.Size
		return nil
	})
	if err != nil {
		return err
	}
	var first error
	w := &treeWalk{
		loader: treeLoader{repo}, clean: map[tree.ID]bool{},
		entry: func(*tree.Node) {},
		data: func(id tree.ID, length uint64) error {
			at, ok := repo.Locate(repository.ID(id))
			size, there := sizes[at.Pack]
			sound := ok && there && uint64(at.Raw) == length && int64(at.Offset)+int64(at.Stored) <= size
			if sound && !repo.Doubted(at.Pack, repository.ID(id)) {
				return nil
			}
			_, err := repo.Load(ctx, repository.ID(id), repository.KindData, nil) // from elsewhere, perhaps
			return err
		},
		lost: func(path string, _ tree.ID, err error) {
			if first == nil {
				first = fmt.Errorf("%s: %w", cmp.Or(Printable(path), "the root"), asDamage(err))
			}
		},
	}
	root, err := loadRoot(ctx, w.loader, snap)
	if err == nil {
		_, err = w.node(ctx, "", &root)
	}
	if err = cmp.Or(err, first); err != nil {
		return fault.New("check snapshot", snap.ID, err, "run `mahavishnu verify` for the extent of the damage")
	}
	return nil
}
