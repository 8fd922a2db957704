package handlers

import (
	"context"

	"mahavishnu/messages"
	"mahavishnu/snapshot/garbage"
	"mahavishnu/worker"
)

// PruneResult is what a prune job leaves in its record.
type PruneResult struct {
	DryRun bool `json:"dry_run"`
	garbage.Report
	// Unread tells what could not be read; what it refers to is not garbage,
	// though it is counted.
	Unread      []string `json:"unread,omitempty"`
	UnreadTotal int      `json:"unread_total,omitempty"`
}

// prune measures what no snapshot needs.
type prune struct{ Setup }

// Check implements worker.Handler.
func (h *prune) Check(job messages.Job) error {
	if job.Spec.(*messages.PruneSpec).DryRun {
		return nil
	}
	return &messages.RefusedError{
		Reason: "this version cannot remove data from storage yet, it can only measure what could be removed",
		Field:  "dry_run", Hint: `send {"dry_run":true}`,
	}
}

// Run implements worker.Handler.
func (h *prune) Run(ctx context.Context, t *worker.Task) (_ any, err error) {
	if err := h.Check(t.Job); err != nil {
		return nil, err
	}
	repo, closeRepo, err := h.Repositories.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer closing(closeRepo, &err)
	report, err := garbage.Measure(ctx, repo)
	if err != nil {
		return nil, err
	}
	result := PruneResult{DryRun: true, Report: report, UnreadTotal: len(report.Unread)}
	for _, err := range bounded(report.Unread) {
		result.Unread = append(result.Unread, err.Error())
	}
	return result, nil
}
