package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages/bus"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/storage"
	"mahavishnu/worker/handlers"
)

// knownCopyKey is where the queue remembers the copy of a pair.
func knownCopyKey(pair config.RegionPair) string {
	return "copy." + pair.Primary + "." + pair.Secondary
}

// seenCopy returns the id of the repository of which this machine, or another worker as
// the queue tells, has seen a copy at the location; "" for none. A queue that does not
// answer knows none.
func (r Replicas) seenCopy(ctx context.Context, pair config.RegionPair, location string) (string, error) {
	id, err := r.Access.seen(location)
	if err != nil || id != "" || r.Known == nil {
		return id, err
	}
	var known knownRepository
	v, err := r.Known.Get(ctx, knownCopyKey(pair))
	if err == nil {
		err = json.Unmarshal(v.Data, &known)
	}
	if err != nil || known.Location != location {
		return "", nil //nolint:nilerr // see above
	}
	return known.ID, nil
}

// Gone returns an error that wraps ErrGone when nothing is left in the place of a copy that
// was there: its disk is most likely not mounted, and what is copied there would fill the
// directory that the disk is mounted to. A copy of which anything is left is mended instead.
func (r Replicas) Gone(ctx context.Context, pair config.RegionPair, replica storage.Backend) error {
	id, err := r.seenCopy(ctx, pair, replica.Location())
	if err != nil || id == "" {
		return err
	}
	if empty, err := replication.Empty(ctx, replica); err != nil || !empty {
		return nil //nolint:nilerr // who goes on is told the same
	}
	hint := "mount the disk or share it is on"
	if !strings.HasPrefix(replica.Location(), "file:") {
		hint = "look into the storage who deleted it"
	}
	return handlers.Away(fault.New("open copy", replica.Location(), fmt.Errorf("%w, %w: a copy of %s", repository.ErrNotRepository, ErrGone, id),
		fmt.Sprintf("%s; only if it is gone for good, begin a new one there: mahavishnu replicate %s --direct --new", hint, pair)))
}

// rememberCopy notes that the place of a copy holds one of its primary, for this machine and
// in the queue, if it does. What was noted before stays, unless a new copy was begun.
func (r Replicas) rememberCopy(ctx context.Context, pair config.RegionPair, primary, replica storage.Backend) error {
	there, err := repository.Identify(ctx, replica)
	if err != nil {
		return nil //nolint:nilerr // the run tells it
	}
	if own, err := repository.Identify(ctx, primary); err != nil || own.ID != there.ID {
		return nil //nolint:nilerr // as above
	}
	location := replica.Location()
	if r.Access.DataDir != "" {
		seen, err := r.Access.seen(location)
		if err == nil && (seen == "" || seen == there.ID || r.Anew) {
			err = r.Access.remember(there.ID, location)
		}
		if err != nil {
			return err
		}
	}
	if r.Known == nil {
		return nil
	}
	now := knownRepository{ID: there.ID, Location: location}
	var known knownRepository
	v, err := r.Known.Get(ctx, knownCopyKey(pair))
	if err == nil && json.Unmarshal(v.Data, &known) == nil && known == now || err != nil && !errors.Is(err, bus.ErrNotFound) {
		return nil // the next run tells a queue that does not answer
	}
	data, err := json.Marshal(now)
	if err == nil {
		_, err = r.Known.Put(ctx, knownCopyKey(pair), data)
	}
	_ = err // as above: this machine knows it
	return nil
}
