package app

import (
	"context"
	"errors"
	"fmt"

	"mahavishnu/fault"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/storage"
)

// MayPromote fails when what lies in the place of a copy is not the copy, as far as this
// machine knows. foreign is not nil when another repository lies in the primary's place,
// to which nothing may be written; where this machine does not know which of both is the
// right one, a person has to mean it. A primary that is lost is not looked at.
func (r Replicas) MayPromote(ctx context.Context, primary, replica storage.Backend, lost, meant bool) (foreign, err error) {
	own, err := repository.Identify(ctx, replica)
	if err != nil {
		return nil, err
	}
	asPrimary, err := r.Access.seen(primary.Location())
	asCopy, seenErr := r.Access.seen(replica.Location())
	if err = errors.Join(err, seenErr); err != nil {
		return nil, err
	}
	for _, seen := range []string{asCopy, asPrimary} {
		if seen != "" && own.ID != asCopy && own.ID != asPrimary {
			return nil, r.foreign(own.ID, seen, replica.Location())
		}
	}
	if !lost {
		foreign = replication.Differ(ctx, own.ID, primary)
	}
	if foreign == nil || meant || own.ID == asPrimary {
		return foreign, nil
	}
	return nil, fault.New("promote", replica.Location(), foreign,
		"if this copy is the right one, and its primary is lost, repeat with --yes: what lies in the primary's place is left as it is")
}

// MayDemote fails when the storage that is to be demoted holds another repository than
// the other end of the copy, or than this machine has seen there.
func (r Replicas) MayDemote(ctx context.Context, target, other storage.Backend) error {
	own, err := repository.Identify(ctx, target)
	if err != nil {
		return err
	}
	seen, err := r.Access.seen(target.Location())
	if err != nil {
		return err
	}
	if seen != "" && seen != own.ID {
		return r.foreign(own.ID, seen, target.Location())
	}
	there, err := repository.Identify(ctx, other)
	if err != nil {
		return nil //nolint:nilerr // what cannot be asked has nothing against it
	}
	return replication.Differ(ctx, there.ID, target)
}

// foreign is the error for another repository at one end of a copy.
func (r Replicas) foreign(id, seen, location string) error {
	return fault.New("change the role of", location, fmt.Errorf("%w: it is %s, and was %s", ErrForeign, id, seen),
		"nothing was changed; mount the disk that holds the right one, or correct the storage in the configuration; only if this one is meant to take its place, remove "+r.Access.knownPath())
}
