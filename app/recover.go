package app

import (
	"context"
	"errors"

	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage"
)

// RecoverConfig puts back the repository's configuration from a copy in another region,
// when both objects of it are lost or damaged. Where nothing is lost, or there is no
// copy, it changes nothing. So it does in a storage that is no primary: there
// replication brings it.
func (a Access) RecoverConfig(ctx context.Context) (done repository.Recovered, err error) {
	if len(a.Peers) == 0 {
		return done, nil
	}
	ring, err := keyring.Load(a.KeyPath)
	if err != nil {
		return done, err
	}
	be, err := a.Storage.Open(ctx, a.Location)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, be.Close()) }()
	_, lost := repository.Identify(ctx, be)
	if lost == nil || storage.Unanswered(lost) {
		return done, nil // which opening tells
	}
	if standing, err := replication.RoleOf(ctx, be); err != nil || standing.Role != replication.Primary {
		return done, err
	}
	id, err := a.seen(be.Location())
	if err != nil {
		return done, err
	}
	copies, closeCopies := a.Copies(ctx)
	done, err = repository.RecoverConfig(ctx, be, ring, repository.RecoverOptions{
		Replicas: copies, ID: id, Retention: repository.Retention{For: a.Immutable, Clock: a.Clock},
	})
	return done, errors.Join(err, closeCopies())
}

// RetainIfAble takes the retention out of a where the storage cannot keep anything, and
// returns why; nil where it can.
func (a *Access) RetainIfAble(ctx context.Context) (unable, err error) {
	if a.Immutable <= 0 {
		return nil, nil
	}
	be, err := a.Storage.Open(ctx, a.Location)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, be.Close()) }()
	unable = storage.ErrUnsupported
	if keeper, ok := be.(storage.Retainer); ok {
		unable = keeper.RetentionCheck(ctx)
	}
	if !errors.Is(unable, storage.ErrUnsupported) {
		return nil, nil // a put tells what else is wrong
	}
	a.Immutable = 0
	return unable, nil
}
