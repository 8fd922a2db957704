package messages

import (
	"encoding/json"
	"fmt"
	"time"
)

// State is where a job is in its life.
type State string

// The states of a job.
const (
	// StateQueued waits for its first attempt, or was handed back.
	StateQueued State = "queued"
	// StateRunning is held by a worker under a lease.
	StateRunning State = "running"
	// StateRetrying waits for Record.RetryAt after a failed or snoozed attempt.
	StateRetrying State = "retrying"
	// StateSucceeded, StateFailed, StateDead and StateCancelled are final.
	StateSucceeded State = "succeeded"
	// StateFailed ended with an error that no retry can change.
	StateFailed State = "failed"
	// StateDead used up its attempts or its time; it has a dead letter.
	StateDead State = "dead"
	// StateCancelled was stopped by a person.
	StateCancelled State = "cancelled"
)

// States lists every state.
func States() []State {
	return []State{StateQueued, StateRunning, StateRetrying, StateSucceeded, StateFailed, StateDead, StateCancelled}
}

// Final reports whether nothing but a redrive leaves the state.
func (s State) Final() bool {
	return s == StateSucceeded || s == StateFailed || s == StateDead || s == StateCancelled
}

// HistoryLimit is how many steps a record remembers; the oldest go first.
const HistoryLimit = 50

// Record is the truth about a job.
type Record struct {
	Job   Job   `json:"job"`
	State State `json:"state"`
	// Attempt counts claims. It is the fencing token of the running attempt,
	// and never goes down.
	Attempt uint64 `json:"attempt"`
	// Spent counts the attempts that failed or lost their lease. Snoozed and
	// interrupted ones do not count.
	Spent int `json:"spent"`
	// Worker holds, or last held, the job.
	Worker string `json:"worker,omitempty"`
	// LeaseUntil is when the running attempt ends unless it is extended.
	LeaseUntil time.Time `json:"lease_until,omitzero"`
	// RetryAt is when a retrying job may be claimed again.
	RetryAt time.Time `json:"retry_at,omitzero"`
	// Created is when the job was submitted, or its message stored.
	Created time.Time `json:"created"`
	// Updated is when the record changed last.
	Updated time.Time `json:"updated"`
	// Started is when the current or last attempt began.
	Started time.Time `json:"started,omitzero"`
	// Finished is when the job reached a final state.
	Finished time.Time `json:"finished,omitzero"`
	// Progress is what the running attempt last reported.
	Progress *Progress `json:"progress,omitempty"`
	// Cursor is the handler's own note of where the next attempt resumes.
	Cursor json.RawMessage `json:"cursor,omitempty"`
	// Result is what the handler produced.
	Result json.RawMessage `json:"result,omitempty"`
	// Error and Stack are of the last failed attempt.
	Error string `json:"error,omitempty"`
	Stack string `json:"stack,omitempty"`
	// Cancel is set while a running attempt is asked to stop.
	Cancel *CancelRequest `json:"cancel,omitempty"`
	// History holds the last steps, oldest first.
	History []Step `json:"history,omitempty"`
}

// CancelRequest is a person's wish to stop a job.
type CancelRequest struct {
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Step is one change of state.
type Step struct {
	At      time.Time `json:"at"`
	State   State     `json:"state"`
	Attempt uint64    `json:"attempt"`
	Worker  string    `json:"worker,omitempty"`
	Note    string    `json:"note,omitempty"`
}

// Failure is why an attempt did not succeed.
type Failure struct {
	Error string
	// Stack is set when the handler panicked.
	Stack string
}

// NewRecord returns the record of a job that was just accepted.
func NewRecord(job Job, created time.Time) Record {
	r := Record{Job: job, Created: created.UTC()}
	return r.step(StateQueued, created, "")
}

// Due reports when the job may be claimed: not before its own not_before, nor
// before the retry it waits for.
func (r Record) Due() time.Time {
	due := r.Job.NotBefore
	if r.State == StateRetrying && r.RetryAt.After(due) {
		due = r.RetryAt
	}
	return due
}

// DecodeRecord reads a record. Errors say what is wrong with the bytes.
func DecodeRecord(data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("decode job record: %w", err)
	}
	known := false
	for _, s := range States() {
		known = known || s == r.State
	}
	switch {
	case !known:
		return Record{}, fmt.Errorf("decode job record: state %q is not known to this version", r.State)
	case !ValidID(r.Job.ID):
		return Record{}, fmt.Errorf("decode job record: %q is not a job id", r.Job.ID)
	}
	return r, nil
}

// Encode writes a record.
func (r Record) Encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record of job %s: %w", r.Job.ID, err)
	}
	return data, nil
}
