package repository

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// renewal is when the index is read again because a pack is not where it says:
// what it held may have been copied to another since.
type renewal struct {
	mu   sync.Mutex
	vain map[PackID]bool // missing packs that reading the index again did not help with
}

// renew reads the index again for a failure that may come from an old one, once
// for each pack, and reports whether it is another now.
func (r *Repository) renew(ctx context.Context, failed *BlobError) bool {
	pack := PackID{}
	if failed != nil {
		if !errors.Is(failed.Err, ErrBlobMissing) {
			return false
		}
		pack = failed.Pack
	}
	r.renewal.mu.Lock()
	defer r.renewal.mu.Unlock()
	if r.renewal.vain[pack] {
		return false
	}
	before := r.index.names()
	if err := r.Refresh(ctx); err != nil {
		return false // the first failure is told
	}
	if slices.Equal(before, r.index.names()) {
		if r.renewal.vain == nil {
			r.renewal.vain = map[PackID]bool{}
		}
		r.renewal.vain[pack] = true
		return false
	}
	clear(r.renewal.vain)
	return true
}

// names returns the names of the fragments in use, sorted.
func (s *indexSet) names() []string {
	var names []string
	for _, f := range s.fragments() {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return names
}
