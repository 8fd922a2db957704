package e2e

import (
	"context"
	"errors"
	"io"

	"mahavishnu/repository"
	trees "mahavishnu/snapshot/tree"
)

// countUnneeded counts, in the simplest way there is and in none of prune's, the
// places of the index that no snapshot needs: of blobs that none reaches, and
// further packs of one that one does. That two parts of the index name the same place
// is no garbage: sessions at the same time may adopt the same pack.
func countUnneeded(ctx context.Context, repo *repository.Repository) (int, error) {
	snapshots, damaged, err := repo.Snapshots(ctx, "")
	if err = errors.Join(append(damaged, err)...); err != nil {
		return 0, err
	}
	met := reached{repo: repo, blobs: map[trees.ID]bool{}}
	for _, s := range snapshots {
		root, err := trees.LoadRoot(ctx, met, trees.ID(s.Root))
		if err == nil {
			err = met.node(ctx, root)
		}
		if err != nil {
			return 0, err
		}
	}
	unneeded, at := 0, map[repository.ID]repository.PackID{}
	repo.EachBlob(func(id repository.ID, where repository.Location) bool {
		if pack, known := at[id]; known && pack == where.Pack {
			return true
		}
		if !met.blobs[trees.ID(id)] {
			unneeded++
		}
		at[id] = where.Pack
		delete(met.blobs, trees.ID(id))
		return true
	})
	if len(met.blobs) > 0 {
		return unneeded, errors.New("snapshots need blobs that no index knows")
	}
	return unneeded, nil
}

// reached are the blobs that were met.
type reached struct {
	repo  *repository.Repository
	blobs map[trees.ID]bool
}

// Load implements tree.Loader.
func (r reached) Load(ctx context.Context, id trees.ID, buf []byte) ([]byte, error) {
	r.blobs[id] = true
	return r.repo.Load(ctx, repository.ID(id), repository.KindTree, buf)
}

// node meets everything below a node, however often it was met before.
func (r reached) node(ctx context.Context, n trees.Node) error {
	contents := []trees.Content{n.Content}
	for _, x := range n.Xattrs {
		contents = append(contents, x.Spilled)
	}
	for _, c := range contents {
		if err := r.content(ctx, c); err != nil {
			return err
		}
	}
	if n.Type != trees.Dir {
		return nil
	}
	for entries := trees.NewReader(r, n.Content); ; {
		below, err := entries.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = r.node(ctx, below)
		}
		if err != nil {
			return err
		}
	}
}

func (r reached) content(ctx context.Context, c trees.Content) error {
	for extents := trees.NewExtents(r, c); ; {
		e, err := extents.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !e.Hole():
			r.blobs[e.ID] = true
		}
	}
}
