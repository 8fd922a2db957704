package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot/prune"
	"mahavishnu/worker"
)

// PruneResult is what a prune job leaves in its record.
type PruneResult struct {
	prune.Report
	// Held are the holds because of which nothing was removed.
	Held []repository.Hold `json:"held,omitempty"`
	// Troubles name what was met and did not stop the run.
	Troubles      []string `json:"troubles,omitempty"`
	TroublesTotal int      `json:"troubles_total,omitempty"`
}

// pruning removes from the storage what no snapshot needs.
type pruning struct{ Setup }

// collectorPause is how long a job waits that finds another one at work.
const collectorPause = 2 * time.Minute

// Check implements worker.Handler.
func (h *pruning) Check(messages.Job) error { return nil }

// Run implements worker.Handler.
func (h *pruning) Run(ctx context.Context, t *worker.Task) (_ any, err error) {
	spec := t.Job.Spec.(*messages.PruneSpec)
	repo, closeRepo, err := h.open(ctx, t.Job, false)
	if err != nil {
		return nil, err
	}
	defer closing(closeRepo, &err)
	held, err := repo.Holds(ctx)
	if err != nil {
		return nil, err
	}
	settings := h.Settings().Prune
	o := prune.Options{
		// While anything is held nothing is removed; what could be is told.
		DryRun: spec.DryRun || len(held) > 0, Reseal: spec.Reseal,
		MaxUnused: settings.MaxUnused, MaxRepack: settings.MaxRepack, Wait: settings.Wait,
		TTL: h.lease().TTL, Keeper: h.Sessions, Clock: h.Clock,
		Progress: func(p prune.Progress) { report(t.Meter, p) },
	}
	if spec.MaxUnused != nil {
		o.MaxUnused = *spec.MaxUnused
	}
	o.Hold = func(ctx context.Context) error { return cmp.Or(repo.NothingHeld(ctx), t.Fence(ctx)) }
	got, err := prune.Run(ctx, repo, o)
	result := pruneResult(got, held)
	busy := (*lease.BusyError)(nil)
	switch {
	case errors.As(err, &busy):
		return nil, worker.Snooze(collectorPause, busy.Error())
	case errors.Is(err, repository.ErrHeld):
		result.Held, err = heldNow(ctx, repo)
	case errors.Is(err, repository.ErrDamaged), errors.Is(err, repository.ErrBlobMissing):
		err = worker.Discard(err) // another attempt would find the same
	}
	return result, err
}

func pruneResult(r prune.Report, held []repository.Hold) PruneResult {
	result := PruneResult{Report: r, Held: bounded(held), TroublesTotal: len(r.Troubles)}
	for _, err := range bounded(r.Troubles) {
		result.Troubles = append(result.Troubles, err.Error())
	}
	result.Waiting, result.Fenced, result.Published = bounded(r.Waiting), bounded(r.Fenced), bounded(r.Published)
	return result
}

func heldNow(ctx context.Context, repo *repository.Repository) ([]repository.Hold, error) {
	held, err := repo.Holds(ctx)
	return bounded(held), err
}

// report passes progress to the job's meter: bytes while packs are rewritten, else
// the number of what the stage counts.
func report(m *worker.Meter, p prune.Progress) {
	m.Add(worker.Advance{Current: fmt.Sprintf("%s: %d of %d", p.Stage, p.Done, p.Total)})
}
