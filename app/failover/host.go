package failover

import (
	"context"

	"mahavishnu/config"
	"mahavishnu/replication"
	"mahavishnu/storage"
)

// Host runs what lives as long as the process does, and stops it in the opposite order.
type Host interface {
	// Launch runs something until it is stopped. What ends before that is a failure of
	// the process.
	Launch(name string, run func(context.Context) error)
	// Repeat is Launch of what starts over after an error: a queue that is away for a
	// while must not end the process.
	Repeat(name string, run func(context.Context) error)
	// Push notes something else to be stopped.
	Push(name string, stop func(context.Context) error)
}

// Copies are the copies that regions keep of each other's repositories.
type Copies interface {
	// Ends opens what a pair copies, and the place of the copy. Both are closed by the caller.
	Ends(ctx context.Context, pair config.RegionPair) (primary, replica storage.Backend, err error)
	// Measure tells how far the copy is behind.
	Measure(ctx context.Context, pair config.RegionPair) (replication.Lag, error)
	// BackRetention is how what is copied back is kept from being deleted.
	BackRetention(pair config.RegionPair) replication.Retention
}
