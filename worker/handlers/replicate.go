package handlers

import (
	"context"
	"errors"
	"fmt"

	"mahavishnu/messages"
	"mahavishnu/replication"
	"mahavishnu/worker"
)

// ReplicateResult is what a replicate job leaves in its record.
type ReplicateResult struct {
	From string `json:"from"`
	To   string `json:"to"`
	replication.Result
	// Unprotected says why the primary does not know that packs are being copied; then
	// a prune there may only make the job look again at what is there.
	Unprotected string `json:"unprotected,omitempty"`
}

// replicate copies a region's repository to where another region keeps its copy.
type replicate struct{ Setup }

// Check implements worker.Handler.
func (h *replicate) Check(messages.Job) error {
	if h.Replicas != nil {
		return nil
	}
	return &messages.RefusedError{
		Reason: "this worker has no copies of other regions to keep", Field: "kind",
		Hint: "configure backup.replication, or send the job to a region that has it",
	}
}

// Run implements worker.Handler.
func (h *replicate) Run(ctx context.Context, t *worker.Task) (_ any, err error) {
	spec := t.Job.Spec.(*messages.ReplicateSpec)
	ends, err := h.Replicas.Replica(ctx, spec.From, spec.To)
	if err != nil {
		return nil, err
	}
	if ends.Close != nil {
		defer closing(ends.Close, &err)
	}
	result := ReplicateResult{From: spec.From, To: spec.To}
	if ends.Hold != nil {
		release, holdErr := ends.Hold(ctx)
		if holdErr != nil {
			result.Unprotected = holdErr.Error()
		} else {
			// It runs out by itself when this fails.
			defer func() { _ = release(context.WithoutCancel(ctx)) }()
		}
	}
	result.Result, err = replication.Run(ctx, replication.Options{
		From: ends.From, To: ends.To, Shard: spec.Shard, Shards: spec.Shards, Force: spec.Force,
		DeleteAfter: ends.DeleteAfter, ReadBack: ends.ReadBack, Parallel: ends.Parallel, Retention: ends.Retention, Cold: ends.Cold, Know: ends.Know,
		Frozen: func(ctx context.Context) (string, error) { return mayDelete(ctx, t, ends) },
		By:     fmt.Sprintf("job %s on %s", t.Job.ID, h.Host), Clock: h.Clock,
		Progress: func(s replication.Step) {
			t.Meter.Add(worker.Advance{
				Files: s.Objects, ExpectFiles: s.ExpectObjects, Bytes: s.Bytes, ExpectBytes: s.ExpectBytes, Stored: s.Bytes, Current: s.Object,
			})
		},
	})
	for _, final := range []error{
		replication.ErrDamaged, replication.ErrEmptied, replication.ErrOtherRepository, replication.ErrPrimary,
		replication.ErrReplaced, replication.ErrTwoPrimaries,
	} {
		if errors.Is(err, final) {
			return result, worker.Discard(err) // another attempt would find the same; the next run looks again
		}
	}
	return result, err
}

// mayDelete tells why nothing may be deleted from the copy: an alarm, or that the job is
// not this attempt's any more.
func mayDelete(ctx context.Context, t *worker.Task, ends *Replica) (string, error) {
	if err := t.Fence(ctx); err != nil {
		return "", err
	}
	if ends.Frozen == nil {
		return "", nil
	}
	return ends.Frozen(ctx)
}
