package scheduler

import (
	"context"
	"errors"
	"time"

	"mahavishnu/messages"
)

// Queue takes jobs.
type Queue interface {
	// Submit puts a job in the queue unless a job of that id was ever there;
	// it reports whether it was new. It may be repeated after any error. A
	// *messages.RefusedError says that repeating it is of no use.
	Submit(ctx context.Context, job messages.Job) (isNew bool, err error)
	// State returns a job's state, or false when there is no such job.
	State(ctx context.Context, id string) (messages.State, bool, error)
}

// Elector lets one scheduler lead at a time.
type Elector interface {
	// Acquire waits until this scheduler leads or ctx ends.
	Acquire(ctx context.Context) (Lease, error)
}

// Lease is a term of leadership. It renews itself.
type Lease interface {
	// Epoch grows with every term.
	Epoch() uint64
	// Context ends before anybody else can lead.
	Context() context.Context
	// Release ends the term at once.
	Release(ctx context.Context) error
}

// ErrStale is returned by Store.Save and Store.Delete when somebody else
// changed the key since.
var ErrStale = errors.New("somebody else changed it")

// Store keeps small values under keys of letters, digits and "-_=", in parts
// separated by dots.
type Store interface {
	// Each calls fn for every key with that prefix, which ends with a dot.
	Each(ctx context.Context, prefix string, fn func(key string, value []byte, revision uint64) error) error
	// Save writes a value whose last write has that revision, 0 for none, and
	// returns the new revision, or ErrStale.
	Save(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Delete removes a value whose last write has that revision.
	Delete(ctx context.Context, key string, revision uint64) error
}

// Events is the record of what happened to jobs.
type Events interface {
	// Publish adds an event; one of the same id within a few minutes is dropped.
	Publish(ctx context.Context, e messages.Event) error
	// Follow calls fn for every event at least once, across restarts and
	// changes of leader, until ctx ends or fn fails, and returns that error. An
	// event whose fn failed comes again with the next Follow.
	Follow(ctx context.Context, fn func(context.Context, messages.Event) error) error
}

// Regions tells what plans have changed about regions.
type Regions interface {
	// Follow calls fn with what was changed about all regions, first as it is, then
	// whenever it changes, until ctx ends or it fails, and returns why.
	Follow(ctx context.Context, fn func(messages.Regions)) error
}

// SlotOutcome is what became of a slot, for the metrics.
type SlotOutcome string

// What can become of a slot.
const (
	// SlotSubmitted became a job.
	SlotSubmitted SlotOutcome = "submitted"
	// SlotRepeated had its job already: another leader, or this one before a
	// crash, had submitted it.
	SlotRepeated SlotOutcome = "repeated"
	// SlotMissed came due while no scheduler was there, and is not caught up.
	SlotMissed SlotOutcome = "missed"
	// SlotOverlapped was skipped because the previous run was not finished.
	SlotOverlapped SlotOutcome = "overlapped"
	// SlotPaused was skipped because the schedule is paused, or its region.
	SlotPaused SlotOutcome = "paused"
	// SlotRefused could not become a job: the queue does not take it as it is.
	SlotRefused SlotOutcome = "refused"
)

// Metrics counts what the scheduler does. Calls must not block.
type Metrics interface {
	// SlotsDecided counts slots of a schedule by what became of them.
	SlotsDecided(schedule, outcome string, n int)
	// SlotLate tells how long after its due time a slot became a job.
	SlotLate(schedule string, late time.Duration)
	// NextSlot tells when a schedule is due next; zero when never.
	NextSlot(schedule string, at time.Time)
	// Leading tells whether this scheduler leads, and in which epoch.
	Leading(leads bool, epoch uint64)
	// ClockWentBack counts steps back of the system's clock.
	ClockWentBack()
	// SchedulerError counts what failed and is tried again, by what was tried.
	SchedulerError(operation string)
}

// NoMetrics is a Metrics that counts nothing.
type NoMetrics struct{}

// SlotsDecided implements [Metrics].
func (NoMetrics) SlotsDecided(string, string, int) {}

// SlotLate implements [Metrics].
func (NoMetrics) SlotLate(string, time.Duration) {}

// NextSlot implements [Metrics].
func (NoMetrics) NextSlot(string, time.Time) {}

// Leading implements [Metrics].
func (NoMetrics) Leading(bool, uint64) {}

// ClockWentBack implements [Metrics].
func (NoMetrics) ClockWentBack() {}

// SchedulerError implements [Metrics].
func (NoMetrics) SchedulerError(string) {}
