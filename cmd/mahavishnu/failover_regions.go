package main

import (
	"context"
	"errors"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// readRegions reads what plans changed about regions and did not take back yet.
func readRegions(ctx context.Context, b *bus.Bus, cfg *config.Config) ([]messages.RegionRecord, error) {
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		return nil, err
	}
	var all []messages.RegionRecord
	for _, region := range cfg.Regions {
		v, err := store.Get(ctx, messages.RegionKey(region))
		if errors.Is(err, bus.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		record, err := messages.DecodeRegion(v.Data)
		if err != nil {
			return nil, err
		}
		if record.Changed() {
			all = append(all, record)
		}
	}
	return all, nil
}

// printRegions says it.
func (r failoverReport) printRegions(e *env) {
	for _, record := range r.Regions {
		e.term.Printf("region %s", record)
	}
}
