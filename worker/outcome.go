package worker

import (
	"errors"
	"fmt"
	"time"
)

// Why a job's context ended before its handler did. A handler sees the one
// that applies as context.Cause(ctx). The pool judges by the context, so the
// handler may return whatever error the end of its context gave it.
var (
	// ErrLeaseLost means that the claim could not be renewed in time or that
	// somebody else holds it. Whatever the handler does now is thrown away.
	ErrLeaseLost = errors.New("the lease on the job is lost")
	// ErrCancelled means that a person cancelled the job.
	ErrCancelled = errors.New("the job was cancelled")
	// ErrInterrupted means that this worker stops. The job goes back to the
	// queue and the attempt is not counted.
	ErrInterrupted = errors.New("the worker is stopping")
	// ErrMoved means that this worker does not take the jobs of the job's region any
	// more. The job goes back to the queue and the attempt is not counted.
	ErrMoved = errors.New("workers of another region take these jobs now")
	// ErrDeadline means that the job's deadline passed.
	ErrDeadline = errors.New("the job's deadline passed")
	// ErrTooLong means that the attempt took longer than this worker allows
	// one to take. The job is tried again.
	ErrTooLong = errors.New("the attempt took longer than jobs.deadline allows")
)

// Snooze is returned by a handler that cannot work yet: the job runs again
// after d and the attempt is not counted. The reason is shown to people.
func Snooze(d time.Duration, reason string) error {
	return &snoozeError{after: d, reason: reason}
}

type snoozeError struct {
	after  time.Duration
	reason string
}

func (e *snoozeError) Error() string { return fmt.Sprintf("snoozed for %v: %s", e.after, e.reason) }

// Discard is returned by a handler whose answer is final: the job ends as
// failed with err as the reason and is not tried again. A result returned along
// with it is kept.
func Discard(err error) error { return &discardError{err} }

type discardError struct{ err error }

func (e *discardError) Error() string { return e.err.Error() }
func (e *discardError) Unwrap() error { return e.err }

// panicError is a handler's panic, turned into an ordinary failure.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("the handler panicked: %v", e.value) }
