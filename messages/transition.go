package messages

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Errors of transitions. A caller decides on them with errors.Is.
var (
	// ErrFinished: the job reached a final state. Drop the message.
	ErrFinished = errors.New("the job is finished")
	// ErrHeld: another attempt holds an unexpired lease. Hand the message back
	// until the lease ends.
	ErrHeld = errors.New("another worker holds the job")
	// ErrNotDue: the job waits for its time. Hand the message back until then.
	ErrNotDue = errors.New("the job is not due yet")
	// ErrExhausted: no attempts are left. Call Record.Exhaust.
	ErrExhausted = errors.New("the job has no attempts left")
	// ErrExpired: the job's deadline has passed. Call Record.Exhaust.
	ErrExpired = errors.New("the job's deadline has passed")
	// ErrCancelRequested: the attempt that was asked to stop died. Call
	// Record.RequestCancel.
	ErrCancelRequested = errors.New("the job is to be cancelled")
	// ErrFenced: the attempt no longer holds the job. Stop, publish nothing,
	// acknowledge nothing.
	ErrFenced = errors.New("the attempt no longer holds the job")
	// ErrNotRunning: only a running job can do that.
	ErrNotRunning = errors.New("the job is not running")
	// ErrNotFinal: only a job in a final state can do that.
	ErrNotFinal = errors.New("the job is not finished")
)

// NotClaimableError says why a claim was refused and when to try again.
type NotClaimableError struct {
	// Err is ErrFinished, ErrHeld, ErrNotDue, ErrExhausted, ErrExpired or
	// ErrCancelRequested.
	Err error
	// State is the record's state.
	State State
	// RetryAt is when a claim may succeed; zero when it never will.
	RetryAt time.Time
}

// Error implements error.
func (e *NotClaimableError) Error() string {
	if e.RetryAt.IsZero() {
		return fmt.Sprintf("claim: %v (%s)", e.Err, e.State)
	}
	return fmt.Sprintf("claim: %v (%s until %s)", e.Err, e.State, e.RetryAt.UTC().Format(time.RFC3339Nano))
}

// Unwrap returns the reason.
func (e *NotClaimableError) Unwrap() error { return e.Err }

// Claim starts the next attempt for a worker, with a lease from now. Errors
// are [*NotClaimableError].
//
// A running record whose lease has ended is taken over, and the lost attempt
// is spent. Clocks that differ between workers can only make a takeover early
// or late, never double: the compare-and-set of the record lets one claim
// through, and the attempt number fences the other.
func (r Record) Claim(worker string, now time.Time, lease time.Duration) (Record, error) {
	refuse := func(err error, at time.Time) (Record, error) {
		return r, &NotClaimableError{Err: err, State: r.State, RetryAt: at}
	}
	note, spent := "", r.Spent
	switch {
	case r.State.Final():
		return refuse(ErrFinished, time.Time{})
	case r.State == StateRunning && now.Before(r.LeaseUntil):
		return refuse(ErrHeld, r.LeaseUntil)
	case r.Cancel != nil:
		return refuse(ErrCancelRequested, time.Time{})
	case r.State == StateRunning:
		note = "took over from " + r.Worker + ", which stopped answering"
		spent++
	}
	switch due := r.Due(); {
	case !r.Job.Deadline.IsZero() && !now.Before(r.Job.Deadline):
		return refuse(ErrExpired, time.Time{})
	case spent >= r.Job.Attempts():
		return refuse(ErrExhausted, time.Time{})
	case now.Before(due):
		return refuse(ErrNotDue, due)
	}
	r.Spent = spent
	r.Attempt++
	r.Worker = worker
	r.Started = now.UTC()
	r.LeaseUntil = now.Add(lease).UTC()
	r.RetryAt = time.Time{}
	r.Progress = nil
	return r.step(StateRunning, now, note), nil
}

// Beat is what a running attempt reports with a heartbeat.
type Beat struct {
	Progress *Progress
	// Cursor replaces the record's cursor unless it is nil.
	Cursor json.RawMessage
}

// Heartbeat extends the lease of a running attempt.
func (r Record) Heartbeat(attempt uint64, now time.Time, lease time.Duration, beat Beat) (Record, error) {
	if err := r.held(attempt); err != nil {
		return r, err
	}
	r.LeaseUntil = now.Add(lease).UTC()
	r.Updated = now.UTC()
	if beat.Progress != nil {
		r.Progress = beat.Progress
	}
	if beat.Cursor != nil {
		r.Cursor = beat.Cursor
	}
	return r, nil
}

// Succeed ends the job well.
func (r Record) Succeed(attempt uint64, now time.Time, result json.RawMessage) (Record, error) {
	if err := r.held(attempt); err != nil {
		return r, err
	}
	r.Result, r.Error, r.Stack = result, "", ""
	return r.step(StateSucceeded, now, ""), nil
}

// Retry ends a failed attempt: the job waits until at, or is dead when its
// attempts are used up or at is past its deadline.
func (r Record) Retry(attempt uint64, now, at time.Time, f Failure) (Record, error) {
	if err := r.held(attempt); err != nil {
		return r, err
	}
	r.Spent++
	r.Error, r.Stack = f.Error, f.Stack
	switch {
	case r.Cancel != nil:
		return r.cancelled(now), nil
	case r.Spent >= r.Job.Attempts():
		return r.step(StateDead, now, "no attempts left: "+f.Error), nil
	case !r.Job.Deadline.IsZero() && !at.Before(r.Job.Deadline):
		return r.step(StateDead, now, "the next attempt would be past the deadline: "+f.Error), nil
	}
	r.RetryAt = at.UTC()
	return r.step(StateRetrying, now, f.Error), nil
}

// Snooze ends an attempt that wants to run later; it costs no attempt.
func (r Record) Snooze(attempt uint64, now, until time.Time, reason string) (Record, error) {
	if err := r.held(attempt); err != nil {
		return r, err
	}
	if r.Cancel != nil {
		return r.cancelled(now), nil
	}
	r.RetryAt = until.UTC()
	return r.step(StateRetrying, now, "snoozed: "+reason), nil
}

// Interrupt hands a job back because its worker stops; it costs no attempt.
func (r Record) Interrupt(attempt uint64, now time.Time, reason string) (Record, error) {
	if err := r.held(attempt); err != nil {
		return r, err
	}
	if r.Cancel != nil {
		return r.cancelled(now), nil
	}
	return r.step(StateQueued, now, "interrupted: "+reason), nil
}

// Fail ends the job with an error that no retry can change. The result, which
// may be nil, tells what was done until then.
func (r Record) Fail(attempt uint64, now time.Time, f Failure, result json.RawMessage) (Record, error) {
	if err := r.held(attempt); err != nil {
		return r, err
	}
	r.Result, r.Error, r.Stack = result, f.Error, f.Stack
	return r.step(StateFailed, now, f.Error), nil
}

// Exhaust ends a job that Claim refused with ErrExhausted or ErrExpired. A
// live attempt is left alone: it is told by its own deadline.
func (r Record) Exhaust(now time.Time, reason string) (Record, error) {
	switch {
	case r.State.Final():
		return r, ErrFinished
	case r.State == StateRunning && now.Before(r.LeaseUntil):
		return r, ErrHeld
	case r.State == StateRunning:
		r.Spent++
	}
	if r.Error == "" {
		r.Error = reason
	}
	return r.step(StateDead, now, reason), nil
}

// RequestCancel stops a job: at once when it is waiting, by the worker that
// holds it when it is running. That worker calls Cancelled; every other end of
// its attempt but success and failure is a cancellation too. The first request
// is the one that is remembered.
func (r Record) RequestCancel(now time.Time, by, reason string) (Record, error) {
	if r.State.Final() {
		return r, ErrFinished
	}
	if r.Cancel == nil {
		r.Cancel = &CancelRequest{By: by, Reason: reason, At: now.UTC()}
		r.Updated = now.UTC()
	}
	if r.State == StateRunning && now.Before(r.LeaseUntil) {
		return r, nil
	}
	return r.cancelled(now), nil
}

// Cancelled ends a running attempt that was asked to stop.
func (r Record) Cancelled(attempt uint64, now time.Time) (Record, error) {
	if err := r.held(attempt); err != nil {
		return r, err
	}
	return r.cancelled(now), nil
}

func (r Record) cancelled(now time.Time) Record {
	note := "cancelled"
	if r.Cancel != nil {
		note = "cancelled by " + r.Cancel.By + ": " + r.Cancel.Reason
	}
	return r.step(StateCancelled, now, note)
}

// Redrive puts a failed, dead or cancelled job back in the queue with all its
// attempts. The attempt number keeps growing.
func (r Record) Redrive(now time.Time, note string) (Record, error) {
	switch {
	case !r.State.Final():
		return r, ErrNotFinal
	case r.State == StateSucceeded:
		return r, ErrFinished
	}
	r.Spent, r.Cancel, r.Finished, r.RetryAt = 0, nil, time.Time{}, time.Time{}
	r.Error, r.Stack = "", "" // the history keeps why it ended before
	if !r.Job.Deadline.IsZero() && !now.Before(r.Job.Deadline) {
		r.Job.Deadline = time.Time{} // a person asks for it now: the old deadline would kill it again
	}
	return r.step(StateQueued, now, note), nil
}

// held is nil when the attempt is the running one.
func (r Record) held(attempt uint64) error {
	switch {
	case attempt != r.Attempt || attempt == 0:
		return ErrFenced
	case r.State != StateRunning:
		return ErrNotRunning
	}
	return nil
}

// step enters a state and writes it into the history.
func (r Record) step(s State, now time.Time, note string) Record {
	now = now.UTC()
	r.State, r.Updated = s, now
	if s != StateRunning {
		r.LeaseUntil = time.Time{}
	}
	if s != StateRetrying {
		r.RetryAt = time.Time{}
	}
	if s.Final() {
		r.Finished = now
	}
	keep := r.History[max(0, len(r.History)-HistoryLimit+1):]
	r.History = append(append(make([]Step, 0, len(keep)+1), keep...),
		Step{At: now, State: s, Attempt: r.Attempt, Worker: r.Worker, Note: note})
	return r
}
