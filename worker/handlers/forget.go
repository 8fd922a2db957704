package handlers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/retention/forget"
	"mahavishnu/worker"
)

// ForgetResult is what a forget job leaves in its record.
type ForgetResult struct {
	DryRun bool `json:"dry_run,omitempty"`
	// Forgotten counts the snapshots removed, or that would be in a dry run.
	Forgotten int `json:"forgotten"`
	Kept      int `json:"kept"`
	// Left is how many snapshots that can be read a source has now, by source.
	Left map[string]int `json:"left"`
	// Decisions explain the first snapshots; the forgotten ones come first.
	Decisions []forget.Decision `json:"decisions,omitempty"`
	// Held are the holds that kept snapshots from being forgotten.
	Held []repository.Hold `json:"held,omitempty"`
	// Damaged names snapshots that cannot be read; they are left alone.
	Damaged []string `json:"damaged,omitempty"`
}

// forgetting applies the retention policy: it removes snapshots, never data.
type forgetting struct{ Setup }

// Check implements worker.Handler.
func (h *forgetting) Check(messages.Job) error { return nil }

// Run implements worker.Handler.
func (h *forgetting) Run(ctx context.Context, t *worker.Task) (_ any, err error) {
	spec := t.Job.Spec.(*messages.ForgetSpec)
	repo, closeRepo, err := h.open(ctx, t.Job, false)
	if err != nil {
		return nil, err
	}
	defer closing(closeRepo, &err)
	if err := h.known(ctx, repo, spec); err != nil {
		return nil, err
	}
	report, err := forget.Run(ctx, repo, forget.Options{
		Policy: h.Settings().Retention, Now: h.Clock.Now(),
		Source: spec.Source, Only: spec.Snapshots, DryRun: spec.DryRun,
		Fence:     t.Fence,
		Forgotten: func(id string) { t.Meter.Add(worker.Advance{Files: 1, Current: id}) },
	})
	return forgetResult(spec.DryRun, report), err
}

func forgetResult(dryRun bool, report forget.Report) ForgetResult {
	result := ForgetResult{DryRun: dryRun, Forgotten: report.Removed, Left: map[string]int{}, Held: bounded(report.Held)}
	if dryRun {
		result.Forgotten = report.Forgotten()
	}
	result.Kept = len(report.Decisions) - result.Forgotten
	for _, d := range report.Decisions {
		result.Left[d.Source] += btoi(d.Keep || dryRun) // one that has none left is named too
	}
	for _, err := range bounded(report.Damaged) {
		result.Damaged = append(result.Damaged, err.Error())
	}
	slices.SortStableFunc(report.Decisions, func(a, b forget.Decision) int { return btoi(a.Keep) - btoi(b.Keep) })
	result.Decisions = bounded(report.Decisions)
	return result
}

// known refuses a job that names a source or a snapshot nobody has heard of.
func (h *forgetting) known(ctx context.Context, repo *repository.Repository, spec *messages.ForgetSpec) error {
	snapshots, damaged, err := repo.Snapshots(ctx, spec.Source)
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, s := range snapshots {
		ids[s.ID] = true
	}
	for _, err := range damaged {
		if errors.Is(err, repository.ErrUnlisted) {
			return err
		}
		if lost := (*repository.SnapshotError)(nil); errors.As(err, &lost) {
			ids[lost.ID] = true
		}
	}
	sources := h.Settings().Sources
	if _, ok := sources[spec.Source]; !ok && spec.Source != "" && len(ids) == 0 {
		return unknownSource(spec.Source, slices.Sorted(maps.Keys(sources)))
	}
	for _, id := range spec.Snapshots {
		if !ids[id] {
			return &messages.RefusedError{
				Reason: fmt.Sprintf("there is no snapshot %q", id), Field: "snapshots",
				Hint: "forget takes whole ids; see `mahavishnu snapshots`",
			}
		}
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
