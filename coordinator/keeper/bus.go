package keeper

import (
	"context"
	"errors"

	"mahavishnu/messages/bus"
)

// BusRecords are documents in a bucket of a bus: that of the leases, under names of their own,
// so that they are as durable and as far away from the service as its lease.
func BusRecords(s *bus.Store) Records { return busRecords{s} }

type busRecords struct{ s *bus.Store }

// recordPrefix keeps records apart from the leases beside them.
const recordPrefix = "record-"

func (b busRecords) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	v, err := b.s.Get(ctx, recordPrefix+key)
	if errors.Is(err, bus.ErrNotFound) {
		return nil, 0, nil
	}
	return v.Data, v.Revision, err
}

func (b busRecords) Save(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	var err error
	if revision == 0 {
		revision, err = b.s.Create(ctx, recordPrefix+key, data)
	} else {
		revision, err = b.s.Update(ctx, recordPrefix+key, data, revision)
	}
	if errors.Is(err, bus.ErrConflict) || errors.Is(err, bus.ErrExists) {
		return 0, errors.Join(ErrDeposed, err)
	}
	return revision, err
}
