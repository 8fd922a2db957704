package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/storage"
)

// of is how the repository of a region is reached: the node's own region's as it is, and
// that of a region whose jobs were moved here as the copy of it that is kept here. That
// it was promoted is for the storages to say, which are asked when it is opened.
func (a Access) of(cfg *config.Config, region string) (Access, error) {
	if cfg == nil || region == cfg.Node.Region {
		return a, nil
	}
	pair := config.RegionPair{Primary: region, Secondary: cfg.Node.Region}
	place, ok := cfg.ReplicaPlace(pair.Primary, pair.Secondary)
	if !ok || !slices.Contains(cfg.Backup.Replication.Regions, pair) {
		return a, &messages.RefusedError{
			Reason: fmt.Sprintf("this worker, in region %s, keeps no copy of the repository of region %s", pair.Secondary, region),
			Field:  "region", Hint: "workers of a region whose copy can be promoted can take its jobs: add the pair to backup.replication.regions",
		}
	}
	a.Location, a.Create = place.String(), false
	a.Immutable = CopyRetention(cfg, pair).For
	a.Peers = peersOfCopy(cfg, pair)
	return a, nil
}

// peersOfCopy are the other places that hold the same repository, or did: other copies
// first, and last what they are copies of.
func peersOfCopy(cfg *config.Config, pair config.RegionPair) []Peer {
	var all []Peer
	for _, other := range cfg.Backup.Replication.Regions {
		if other.Primary != pair.Primary || other == pair {
			continue
		}
		if place, ok := cfg.ReplicaPlace(other.Primary, other.Secondary); ok {
			all = append(all, Peer{other.String(), place.URL})
		}
	}
	if place, ok := cfg.RegionPlace(pair.Primary); ok {
		all = append(all, Peer{pair.Primary, place.URL})
	}
	return all
}

// endsNow are the ends of a copy as things are now: while the repository is in another
// region, what was promoted there is copied.
func (r Replicas) endsNow(ctx context.Context, pair config.RegionPair) (primary, replica storage.Backend, err error) {
	to := r.Moved.repository(pair.Primary)
	if to == "" || to == pair.Secondary { // which admits no copies, and says why
		return r.Ends(ctx, pair)
	}
	cfg := r.Config()
	from, ok := cfg.ReplicaPlace(pair.Primary, to)
	if !ok {
		return nil, nil, fault.New("open for replication", pair.String(), fmt.Errorf("the repository of region %s is in %s, and it is not known where", pair.Primary, to),
			"say so under backup.replication.storages."+to)
	}
	place, ok := cfg.ReplicaPlace(pair.Primary, pair.Secondary)
	if !ok {
		return r.Ends(ctx, pair) // which says what is missing
	}
	if primary, err = r.Storage.Open(ctx, from.URL); err != nil {
		return nil, nil, err
	}
	if replica, err = r.Storage.Open(ctx, place.URL); err != nil {
		return nil, nil, errors.Join(err, primary.Close())
	}
	return primary, replica, nil
}
