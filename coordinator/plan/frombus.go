package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mahavishnu/messages/bus"
)

// FromBus keeps the journal in a bucket of the bus. The bucket of the leases is the
// one to take: whoever can renew the lease of the coordinators can write the
// journal, wherever the leader of that stream is, and reads come from it alone.
func FromBus(store *bus.Store) Journal { return busJournal{store} }

type busJournal struct{ store *bus.Store }

func (j busJournal) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	v, err := j.store.Get(ctx, key)
	if errors.Is(err, bus.ErrNotFound) {
		return nil, 0, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return v.Data, v.Revision, err
}

func (j busJournal) Put(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	var written uint64
	var err error
	if revision == 0 {
		written, err = j.store.Create(ctx, key, data)
	} else {
		written, err = j.store.Update(ctx, key, data, revision)
	}
	if errors.Is(err, bus.ErrConflict) || errors.Is(err, bus.ErrExists) {
		return 0, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return written, err
}

func (j busJournal) Delete(ctx context.Context, key string, revision uint64) error {
	err := j.store.Delete(ctx, key, revision)
	if errors.Is(err, bus.ErrConflict) {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}

func (j busJournal) Keys(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	err := j.store.Each(ctx, strings.TrimSuffix(prefix, ".")+".>", func(v bus.Value) error {
		keys = append(keys, v.Key)
		return nil
	})
	return keys, err
}
