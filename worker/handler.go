package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"mahavishnu/messages"
)

// Handler does one kind of job. It is safe for concurrent use.
type Handler interface {
	// Check looks at a job before it is claimed and refuses, with a
	// *messages.RefusedError, what can never run as it is written: an unknown
	// source, say. It is quick and does no I/O. Any other error is passed on as
	// a failed attempt would be, so it should not return one.
	Check(messages.Job) error
	// Run does the job. The result, which may be nil, is kept in the record as
	// JSON, whatever the error. The context ends with a cause of this package;
	// Run returns soon after. It may run again for the same job, also while a
	// lost attempt of it still runs somewhere: whatever it commits must be
	// idempotent by job id and preceded by Task.Fence.
	Run(ctx context.Context, t *Task) (result any, err error)
}

// Handlers is a registry: which handler does which kind.
type Handlers map[messages.Kind]Handler

// Task is one attempt at a job, as a handler sees it.
type Task struct {
	Job messages.Job
	// Attempt is the fencing token.
	Attempt uint64
	// Created is when the job was accepted: equal for all its attempts.
	Created time.Time
	// Worker is the node that does the job.
	Worker string
	// Cursor is what an earlier attempt saved last; nil when nothing.
	Cursor json.RawMessage
	// Meter takes reports of progress.
	Meter *Meter

	fence func(context.Context) error
	saved cursor
}

// Fence renews the claim and returns nil, or tells why the attempt must not
// commit. Call it right before making work visible.
func (t *Task) Fence(ctx context.Context) error { return t.fence(ctx) }

// SaveCursor notes where the next attempt may resume, in at most 64 KiB of JSON.
// It is written with the next heartbeat or outcome.
func (t *Task) SaveCursor(v any) error {
	data, err := json.Marshal(v)
	if err == nil && len(data) > maxCursor {
		err = fmt.Errorf("it is %d bytes long; at most %d are kept", len(data), maxCursor)
	}
	if err != nil {
		return fmt.Errorf("save cursor of job %s: %w", t.Job.ID, err)
	}
	t.saved.set(data)
	return nil
}

// cursor passes a handler's note to the keeper.
type cursor struct {
	mu   sync.Mutex
	data json.RawMessage
}

func (c *cursor) set(data json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data = data
}

func (c *cursor) get() json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data
}
