package worker

import (
	"time"

	"mahavishnu/messages"
)

// Metrics counts what a pool and a reconciler do. Calls must not block.
type Metrics interface {
	// JobStarted counts a claim; waited is the time since the job was due.
	JobStarted(kind messages.Kind, region string, waited time.Duration)
	// JobEnded counts an attempt's end; ran is how long it took.
	JobEnded(kind messages.Kind, region string, outcome messages.Outcome, ran time.Duration)
	// JobRefused counts a message that became a dead letter without a run. Kind
	// and region may be what somebody mistyped.
	JobRefused(kind, region string)
	// LeaseLost counts attempts whose claim was lost.
	LeaseLost(kind messages.Kind)
	// BeatMissed counts heartbeats that were not acknowledged.
	BeatMissed(kind messages.Kind)
	// HandlerStuck counts handlers that did not return when told to.
	HandlerStuck(kind messages.Kind)
	// BusError counts failed requests to the queue, by what was tried.
	BusError(operation string)
	// Reconciled counts what the reconciler mended; what is a [Mend].
	Reconciled(what string, n int)
	// JobsStuck is how many running records have had no living worker for long.
	JobsStuck(n int)
}

// NoMetrics is a Metrics that counts nothing.
type NoMetrics struct{}

// JobStarted implements [Metrics].
func (NoMetrics) JobStarted(messages.Kind, string, time.Duration) {}

// JobEnded implements [Metrics].
func (NoMetrics) JobEnded(messages.Kind, string, messages.Outcome, time.Duration) {}

// JobRefused implements [Metrics].
func (NoMetrics) JobRefused(string, string) {}

// LeaseLost implements [Metrics].
func (NoMetrics) LeaseLost(messages.Kind) {}

// BeatMissed implements [Metrics].
func (NoMetrics) BeatMissed(messages.Kind) {}

// HandlerStuck implements [Metrics].
func (NoMetrics) HandlerStuck(messages.Kind) {}

// BusError implements [Metrics].
func (NoMetrics) BusError(string) {}

// Reconciled implements [Metrics].
func (NoMetrics) Reconciled(string, int) {}

// JobsStuck implements [Metrics].
func (NoMetrics) JobsStuck(int) {}
