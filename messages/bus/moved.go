package bus

import (
	"context"
	"strings"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// FollowRegions calls fn with the records of all regions, first with what there is, then
// whenever one changes, until ctx ends or fn fails.
func FollowRegions(ctx context.Context, store *Store, fn func(messages.Regions) error) error {
	all := messages.Regions{}
	add := func(v Value) error {
		if v.Deleted {
			region := strings.TrimPrefix(v.Key, messages.RegionKey(""))
			all = all.With(messages.RegionRecord{Region: region})
			return nil
		}
		record, err := messages.DecodeRegion(v.Data)
		if err != nil {
			return fault.New("read", v.Key, err, "it may be of a newer version: run the same one everywhere")
		}
		all = all.With(record)
		return nil
	}
	if err := store.Each(ctx, messages.RegionKeys, add); err != nil {
		return err
	}
	if err := fn(all); err != nil {
		return err
	}
	return store.Watch(ctx, messages.RegionKeys, func(v Value) error {
		if err := add(v); err != nil {
			return err
		}
		return fn(all)
	})
}
