package snapshot

import (
	"context"

	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// treeSaver stores tree blobs in a session.
type treeSaver struct{ session *repository.Session }

func (s treeSaver) Save(ctx context.Context, data []byte) (tree.ID, error) {
	id, _, err := s.session.Save(ctx, repository.KindTree, data)
	return tree.ID(id), err
}
