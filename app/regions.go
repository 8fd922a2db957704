package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

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

// errStop ends a watch that has seen what it wanted.
var errStop = errors.New("seen")

// regionsNow are the records of all regions.
func regionsNow(ctx context.Context, store *bus.Store) (all messages.Regions, err error) {
	err = bus.FollowRegions(ctx, store, func(now messages.Regions) error {
		all = now
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return all, err
}

// moves are what a process knows of regions that were moved. The zero value, and nil,
// know of none.
type moves struct {
	all atomic.Pointer[messages.Regions]
}

func (m *moves) set(all messages.Regions) { m.all.Store(&all) }

// repository is the region whose copy is the primary of a region's repository; "" when it
// is the region's own.
func (m *moves) repository(region string) string {
	if m == nil {
		return ""
	}
	all := m.all.Load()
	if all == nil {
		return ""
	}
	if r := (*all)[region]; r.Repository != nil {
		return r.Repository.To
	}
	return ""
}

// serve has the worker take the jobs of its own region, unless that is away, and of those
// that were moved to it, whenever that changes.
func (a *App) serve(store *bus.Store, moved *moves) func(context.Context) error {
	own := a.Config.Node.Region
	log := a.Log.With().Str("part", "worker").Logger()
	return func(ctx context.Context) error {
		return bus.FollowRegions(ctx, store, func(all messages.Regions) error {
			moved.set(all)
			now := all.TakenBy(own)
			if slices.Equal(a.pool.Serves(), now) {
				return nil
			}
			log.Info().Strs("regions", now).Str("why", whyServes(all, own)).Msg("the regions whose jobs are taken have changed")
			return a.pool.Serve(ctx, now)
		})
	}
}

// whyServes says why a worker takes the jobs that it takes.
func whyServes(all messages.Regions, own string) string {
	if away := all[own].Away(); away != "" {
		return away
	}
	for name, r := range all {
		if r.Workers != nil && r.Workers.To == own {
			return fmt.Sprintf("%s was moved here by %s", name, r.Workers.Execution)
		}
	}
	return "each region takes its own"
}
