package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages/bus"
	"mahavishnu/repository"
	"mahavishnu/worker/handlers"
)

// repositories opens the repository anew for each job, so that every job sees
// what others have stored; indexes are cached on disk between them.
//
// The queue remembers which repository a region has. So a worker that has never
// seen it, and whose disk or share is not mounted, makes none in its place.
type repositories struct {
	access Access
	// cfg says where other regions' copies are; nil knows none.
	cfg *config.Config
	// create is one of config.CreateAuto and config.CreateNever.
	create string
	// known is where the queue remembers regions' repositories.
	known knownStore
	log   zerolog.Logger
}

// knownStore is what is needed of a bucket.
type knownStore interface {
	Get(ctx context.Context, key string) (bus.Value, error)
	Put(ctx context.Context, key string, data []byte) (uint64, error)
}

// knownRepository is what the queue remembers.
type knownRepository struct {
	ID       string `json:"id"`
	Location string `json:"location"`
}

func knownKey(region string) string { return "repository." + region }

// Open implements handlers.Repositories.
func (r repositories) Open(ctx context.Context, region string, create bool) (*repository.Repository, func() error, error) {
	access, err := r.access.of(r.cfg, region)
	if err != nil {
		return nil, nil, err
	}
	moved := access.Location != r.access.Location
	access.Write = create
	opened, err := access.Open(ctx)
	if errors.Is(err, repository.ErrNotRepository) && create && !moved {
		if err := r.mayCreate(ctx, region); err != nil {
			return nil, nil, err
		}
		access.Create = true
		opened, err = access.Open(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	if create {
		if err := r.own(ctx, region, access, opened); err != nil {
			return nil, nil, errors.Join(err, opened.Close())
		}
		if err := r.remember(ctx, region, access, opened); err != nil {
			return nil, nil, errors.Join(err, opened.Close())
		}
	}
	return opened.Repository, opened.Close, nil
}

// mayCreate refuses to make a repository where the configuration says so, or where
// there should be one already.
func (r repositories) mayCreate(ctx context.Context, region string) error {
	const op = "open repository"
	if r.create == config.CreateNever {
		return fault.New(op, r.access.Location, fmt.Errorf("%w, and backup.storage.create is never", repository.ErrNotRepository),
			"mount the disk or share it is on; to make a new one, back up once with `mahavishnu backup SOURCE --direct`")
	}
	v, err := r.known.Get(ctx, knownKey(region))
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	var known knownRepository
	if err := json.Unmarshal(v.Data, &known); err != nil {
		return fault.New(op, r.access.Location, fmt.Errorf("what the queue knows of it under %s cannot be read: %w", knownKey(region), err), "")
	}
	return handlers.Away(fault.New(op, r.access.Location, fmt.Errorf("%w, and other workers of this region have one: %s in %s", repository.ErrNotRepository, known.ID, known.Location),
		"mount the disk or share it is on; only if it is meant to be gone for good, make a new one with `mahavishnu backup SOURCE --direct`"))
}

// own refuses another repository than the one that other workers of the region store to,
// unless this machine was told that it is the right one. A queue that does not answer
// refuses nothing: what this machine knows itself was compared before.
func (r repositories) own(ctx context.Context, region string, access Access, opened *Opened) error {
	location := opened.storage.Location()
	if seen, err := access.seen(location); err != nil || seen == opened.ID() {
		return err
	}
	var known knownRepository
	v, err := r.known.Get(ctx, knownKey(region))
	if err == nil {
		err = json.Unmarshal(v.Data, &known)
	}
	if err != nil || known.Location != location || known.ID == opened.ID() {
		return nil //nolint:nilerr // see above
	}
	return handlers.Away(access.foreign(opened.ID(), known.ID, location, "back up to it once from this machine with `mahavishnu backup SOURCE --direct`, which makes it known"))
}

// remember tells the queue which repository the region has, and this machine.
func (r repositories) remember(ctx context.Context, region string, access Access, opened *Opened) error {
	if access.DataDir != "" {
		if err := access.remember(opened.ID(), opened.storage.Location()); err != nil {
			return err
		}
	}
	now := knownRepository{ID: opened.ID(), Location: opened.storage.Location()}
	var known knownRepository
	v, err := r.known.Get(ctx, knownKey(region))
	if err == nil && json.Unmarshal(v.Data, &known) == nil && known.ID == now.ID {
		return nil
	}
	data, err := json.Marshal(now)
	if err == nil {
		_, err = r.known.Put(ctx, knownKey(region), data)
	}
	if err != nil {
		// The backup matters more; the next one tells the queue.
		r.log.Warn().Err(err).Msg("the queue could not be told which repository this region has")
	}
	return nil
}
