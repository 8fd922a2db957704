package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

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
