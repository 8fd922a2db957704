package handlers

import (
	"context"
	"time"

	"mahavishnu/replication"
	"mahavishnu/storage"
)

// Replicas opens the two ends of replicate jobs.
type Replicas interface {
	// Replica opens the repository of the region from, and the place where the
	// region to keeps its copy of it. A *messages.RefusedError says that the
	// configuration has no such pair. The caller closes the replica.
	Replica(ctx context.Context, from, to string) (*Replica, error)
}

// Replica is what a replicate job works on. From and To are required.
type Replica struct {
	// From is the storage that is copied, which is only read. To is the place of the
	// copy.
	From, To storage.Backend
	// Hold begins a reader's session in the primary, so that no pack goes while it
	// is copied, and returns how to end it: repository.Repository.Reader, where the
	// primary may be written to. nil does without; so does an error, which is told.
	Hold func(ctx context.Context) (release func(context.Context) error, err error)
	// Know opens both ends with the key, where this worker has it: see replication.Options.
	Know func(ctx context.Context) (replication.Knower, error)
	// Frozen tells why nothing may be deleted now: an alarm, by name. "" is none.
	// An error counts as an alarm. nil is none.
	Frozen func(ctx context.Context) (why string, err error)
	// DeleteAfter is how long an object that is gone from the primary stays in the
	// copy; 0 deletes it in the next run, negative never.
	DeleteAfter time.Duration
	// Retention keeps the copy from being deleted, and Cold puts packs of data into the
	// cold class of its storage: see replication.Options.
	Retention replication.Retention
	Cold      bool
	// ReadBack is the percentage of what is in the copy that each run reads and
	// checks.
	ReadBack float64
	// Parallel is how many objects are copied at once; 0 is the default.
	Parallel int
	// Close lets go of both storages; it may be nil.
	Close func() error
}
