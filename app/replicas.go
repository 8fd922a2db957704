package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/replication"
	"mahavishnu/repository/lease"
	"mahavishnu/storage"
	"mahavishnu/worker/handlers"
)

// Replicas opens copies of repositories, and what they are copies of.
type Replicas struct {
	// Config returns the configuration in force.
	Config func() *config.Config
	// Storage opens storage.
	Storage *Storages
	// Access is how this node's own repository is opened, where it holds the key.
	Access Access
	// Known is where the queue remembers copies; nil does without.
	Known knownStore
	// Moved knows whose repository another region's copy is the primary of; nil of none.
	Moved *moves
	// Anew begins a new copy where there was one and nothing is left of it.
	Anew bool
}

// Replica implements handlers.Replicas.
func (r Replicas) Replica(ctx context.Context, from, to string) (*handlers.Replica, error) {
	cfg := r.Config()
	pair := config.RegionPair{Primary: from, Secondary: to}
	if !slices.Contains(cfg.Backup.Replication.Regions, pair) {
		return nil, noPair(cfg, pair)
	}
	primary, replica, err := r.endsNow(ctx, pair)
	if err != nil {
		return nil, err
	}
	if !r.Anew {
		if err := r.Gone(ctx, pair, replica); err != nil {
			return nil, errors.Join(err, r.Storage.close(primary), r.Storage.close(replica))
		}
	}
	if err := r.rememberCopy(ctx, pair, primary, replica); err != nil { // this run may be killed
		return nil, errors.Join(err, r.Storage.close(primary), r.Storage.close(replica))
	}
	settings := cfg.Backup.Replication
	opened := &handlers.Replica{
		From: primary, To: replica, Retention: CopyRetention(cfg, pair), Cold: coldCopy(cfg, pair),
		DeleteAfter: time.Duration(settings.DeleteAfterDays) * 24 * time.Hour,
		ReadBack:    float64(settings.VerifyShare),
		Close: func() error {
			err := r.rememberCopy(context.WithoutCancel(ctx), pair, primary, replica)
			return errors.Join(err, r.Storage.close(primary), r.Storage.close(replica))
		},
	}
	opened.Know = r.know(primary, replica)
	if from == cfg.Node.Region {
		opened.Hold = r.hold
	}
	return opened, nil
}

func noPair(cfg *config.Config, pair config.RegionPair) error {
	reason := fmt.Sprintf("the configuration of this worker does not copy region %q to region %q", pair.Primary, pair.Secondary)
	hint := "add the pair to backup.replication.regions"
	for _, p := range cfg.Backup.Replication.Regions {
		hint += fmt.Sprintf("; it has %s to %s", p.Primary, p.Secondary)
	}
	return &messages.RefusedError{Reason: reason, Field: "to", Hint: hint}
}

// CopyRetention is how the copy of a pair is kept from being deleted.
func CopyRetention(cfg *config.Config, pair config.RegionPair) replication.Retention {
	return replication.Retention{For: time.Duration(cfg.CopyImmutableDays(pair)) * 24 * time.Hour, Unable: cfg.CopyUnlocked(pair)}
}

// BackRetention is the same of what is copied back to the repository of a pair.
func BackRetention(cfg *config.Config, pair config.RegionPair) replication.Retention {
	place, ok := cfg.RegionPlace(pair.Primary)
	if !ok || !place.Locks() {
		return replication.Retention{}
	}
	return replication.Retention{For: time.Duration(cfg.Backup.Storage.ImmutableDays) * 24 * time.Hour}
}

// BackRetention implements failover.Copies.
func (r Replicas) BackRetention(pair config.RegionPair) replication.Retention {
	return BackRetention(r.Config(), pair)
}

// coldCopy tells whether the copy's storage has a cold class for packs of data.
func coldCopy(cfg *config.Config, pair config.RegionPair) bool {
	place, ok := cfg.ReplicaPlace(pair.Primary, pair.Secondary)
	return ok && archives(place.URL)
}

// Ends opens the storage that a pair copies and the place of the copy.
func (r Replicas) Ends(ctx context.Context, pair config.RegionPair) (primary, replica storage.Backend, err error) {
	const op = "open for replication"
	cfg := r.Config()
	from, ok := cfg.RegionPlace(pair.Primary)
	if !ok {
		return nil, nil, fault.New(op, pair.String(), fmt.Errorf("it is not known where region %s keeps its repository", pair.Primary),
			"say so under backup.replication.storages."+pair.Primary)
	}
	to, ok := cfg.ReplicaPlace(pair.Primary, pair.Secondary)
	if !ok {
		return nil, nil, fault.New(op, pair.String(), fmt.Errorf("it is not known where region %s keeps the copy", pair.Secondary),
			"say so under backup.replication.storages."+pair.Secondary)
	}
	if primary, err = r.Storage.Open(ctx, from.URL); err != nil {
		return nil, nil, err
	}
	if replica, err = r.Storage.Open(ctx, to.URL); err != nil {
		return nil, nil, errors.Join(err, primary.Close())
	}
	return primary, replica, nil
}

// hold begins a reader's session in this region's own repository.
func (r Replicas) hold(ctx context.Context) (release func(context.Context) error, err error) {
	repo, err := r.Access.Open(ctx)
	if err != nil {
		return nil, err
	}
	reader, err := repo.Reader(ctx, lease.Options{Clock: r.Access.Clock})
	if err != nil {
		return nil, errors.Join(err, repo.Close())
	}
	return func(ctx context.Context) error { return errors.Join(reader.Close(ctx), repo.Close()) }, nil
}
