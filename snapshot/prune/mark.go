package prune

import (
	"context"
	"errors"
	"io"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// marker tells a survey what snapshots need. Parts of trees that were met before
// are passed over. Anything that cannot be read ends it: what hangs below would
// pass for garbage.
type marker struct {
	survey *repository.Survey
	trees  *repository.TreeReader
	tier   bool // what is met is needed by an archival snapshot
}

// mark marks everything that the snapshots need. done hears of each.
func mark(ctx context.Context, repo *repository.Repository, survey *repository.Survey, snapshots []repository.Snapshot, done func(n int)) error {
	for _, err := range survey.Unread {
		return fault.New("prune", repo.Backend().Location(), err,
			"nothing was deleted, since it is not known what that snapshot needs: run `mahavishnu verify --repair`, or forget the snapshot")
	}
	m := &marker{survey: survey, trees: repo.TreeReader()}
	for i, snap := range snapshots {
		m.tier = snap.Type == repository.TypeArchival
		if err := m.snapshot(ctx, snap); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fault.New("mark what is needed by snapshot", snap.ID+" of "+snap.Source, err,
				"nothing was deleted, since it is not known what that snapshot needs: run `mahavishnu verify --repair`, or forget the snapshot")
		}
		if done != nil {
			done(i + 1)
		}
	}
	return nil
}

// need marks a blob and reports whether that is news.
func (m *marker) need(id tree.ID) (bool, error) { return m.survey.Need(repository.ID(id), m.tier) }

// Load implements tree.Loader: what is loaded is needed.
func (m *marker) Load(ctx context.Context, id tree.ID, buf []byte) ([]byte, error) {
	if _, err := m.need(id); err != nil {
		return nil, err
	}
	return m.trees.Load(ctx, repository.ID(id), buf)
}

func (m *marker) snapshot(ctx context.Context, snap repository.Snapshot) error {
	root, err := tree.LoadRoot(ctx, m, tree.ID(snap.Root))
	if err != nil {
		return err
	}
	return m.node(ctx, &root)
}

func (m *marker) node(ctx context.Context, n *tree.Node) error {
	for _, x := range n.Xattrs {
		if err := m.content(ctx, x.Spilled, nil); err != nil {
			return err
		}
	}
	if n.Type == tree.Dir {
		return m.content(ctx, n.Content, m.entries)
	}
	return m.content(ctx, n.Content, nil)
}

// content marks the blobs of a content and calls fn for those that are news.
func (m *marker) content(ctx context.Context, c tree.Content, fn func(context.Context, tree.Extent) error) error {
	for extents := tree.NewExtents(m, c); ; {
		e, err := extents.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case e.Hole():
			continue
		}
		news, err := m.need(e.ID)
		if err != nil {
			return err
		}
		if news && fn != nil {
			if err := fn(ctx, e); err != nil {
				return err
			}
		}
	}
}

// entries marks what the entries of one directory blob reach.
func (m *marker) entries(ctx context.Context, e tree.Extent) error {
	for r := tree.NewReader(m, tree.Content{Extents: []tree.Extent{e}}); ; {
		n, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := m.node(ctx, &n); err != nil {
			return err
		}
	}
}
