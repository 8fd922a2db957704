package handlers

import (
	"context"

	"mahavishnu/messages"
	"mahavishnu/worker"
)

// unavailable refuses kinds of job that exist and that this version cannot do,
// so that whoever sends one is told at once: nobody would ever take it.
type unavailable struct{ what string }

// Check implements worker.Handler.
func (h unavailable) Check(messages.Job) error {
	return &messages.RefusedError{
		Reason: "this version cannot " + h.what + " yet", Field: "kind",
		Hint: "once a version that can is running, the job can be sent again with `mahavishnu jobs redrive`",
	}
}

// Run implements worker.Handler.
func (h unavailable) Run(_ context.Context, t *worker.Task) (any, error) { return nil, h.Check(t.Job) }
