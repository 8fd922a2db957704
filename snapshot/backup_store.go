package snapshot

import (
	"context"
	"errors"
	"io"

	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// treeSaver stores tree blobs in a session.
type treeSaver struct{ session *repository.Session }

func (s treeSaver) Save(ctx context.Context, data []byte) (tree.ID, error) {
	id, _, err := s.session.Save(ctx, repository.KindTree, data)
	return tree.ID(id), err
}

// errNotReusable is what a [reusable] finds instead of a blob.
var errNotReusable = errors.New("blob is not there to be reused")

// reusable loads tree blobs of a parent. When strict, it loads only those that
// the session may refer to: what is not in storage any more shall be stored
// again, so its entries must look new.
type reusable struct {
	repo    *repository.Repository
	session *repository.Session
	strict  bool
}

func (r reusable) Load(ctx context.Context, id tree.ID, buf []byte) ([]byte, error) {
	if r.strict && !r.session.Has(repository.ID(id)) {
		return nil, errNotReusable
	}
	return r.repo.Load(ctx, repository.ID(id), repository.KindTree, buf)
}

// all reports whether every blob of a content may be referred to.
func (r reusable) all(ctx context.Context, c tree.Content) bool {
	if c.IsEmpty() {
		return true
	}
	for extents := tree.NewExtents(r, c); ; {
		e, err := extents.Next(ctx)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil || !e.Hole() && !r.session.Has(repository.ID(e.ID)) {
			return false
		}
	}
}
