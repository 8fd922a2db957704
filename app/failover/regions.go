package failover

import (
	"context"
	"errors"
	"fmt"

	"mahavishnu/clock"
	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// regionRecords are what plans changed about regions, as the queue keeps it.
type regionRecords struct {
	store regionStore
	clock clock.Clock
}

// regionStore is what is needed of a bucket.
type regionStore interface {
	Get(ctx context.Context, key string) (bus.Value, error)
	Create(ctx context.Context, key string, data []byte) (uint64, error)
	Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error)
}

// read returns a region's record, an empty one where there is none.
func (r regionRecords) read(ctx context.Context, region string) (messages.RegionRecord, uint64, error) {
	v, err := r.store.Get(ctx, messages.RegionKey(region))
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return messages.RegionRecord{Region: region}, 0, nil
	case err != nil:
		return messages.RegionRecord{}, 0, err
	}
	record, err := messages.DecodeRegion(v.Data)
	if err != nil {
		return record, 0, fault.New("read the record of region", region, err, "it may be of a newer version: run the same one everywhere")
	}
	return record, v.Revision, nil
}

// regionTries is how often a record is written that somebody else changes meanwhile.
const regionTries = 10

// change writes what fn makes of a region's record, and the epoch of the call. Whoever
// has a lower epoch than the record is refused, then and afterwards.
func (r regionRecords) change(ctx context.Context, c plan.Call, region string, fn func(*messages.RegionRecord, *messages.RegionChange)) (messages.RegionRecord, error) {
	for range regionTries {
		record, revision, err := r.read(ctx, region)
		if err != nil {
			return record, err
		}
		if c.Epoch < record.Epoch {
			return record, fault.New("look after region", region,
				fmt.Errorf("%w: a leader of epoch %d does already, this is %d", plan.ErrFenced, record.Epoch, c.Epoch), "")
		}
		record.Epoch = c.Epoch
		fn(&record, &messages.RegionChange{Execution: c.Execution, Epoch: c.Epoch, By: c.Node, At: r.clock.Now().UTC()})
		data, err := record.Encode()
		if err != nil {
			return record, err
		}
		if revision == 0 {
			_, err = r.store.Create(ctx, messages.RegionKey(region), data)
		} else {
			_, err = r.store.Update(ctx, messages.RegionKey(region), data, revision)
		}
		if !errors.Is(err, bus.ErrConflict) && !errors.Is(err, bus.ErrExists) {
			return record, err
		}
	}
	return messages.RegionRecord{}, fault.New("look after region", region, bus.ErrConflict, "")
}

// done tells whether a region's record is as it should be. If so the record has the
// epoch of the call when it returns, so that what an earlier leader still has under way
// is refused.
func (r regionRecords) done(ctx context.Context, c plan.Call, region string, so func(messages.RegionRecord) bool) (bool, error) {
	record, _, err := r.read(ctx, region)
	if err != nil || !so(record) {
		return false, err
	}
	if record.Epoch == c.Epoch {
		return true, nil
	}
	record, err = r.change(ctx, c, region, func(*messages.RegionRecord, *messages.RegionChange) {})
	return err == nil && so(record), err
}
