package handlers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/retention"
	"mahavishnu/worker"
)

// LabelPinned on a snapshot says why somebody wants it kept.
const LabelPinned = "pinned"

// ForgetResult is what a forget job leaves in its record.
type ForgetResult struct {
	DryRun bool `json:"dry_run,omitempty"`
	// Forgotten counts the snapshots deleted, or that would be in a dry run.
	Forgotten int `json:"forgotten"`
	Kept      int `json:"kept"`
	// Decisions explain the first snapshots; the forgotten ones come first.
	Decisions []ForgetDecision `json:"decisions,omitempty"`
	// Held names sources of which nothing may be forgotten now, and why.
	Held map[string]string `json:"held,omitempty"`
	// Damaged names snapshots that cannot be read; they are left alone.
	Damaged []string `json:"damaged,omitempty"`
}

// ForgetDecision is what became of one snapshot, and why.
type ForgetDecision struct {
	Snapshot string    `json:"snapshot"`
	Source   string    `json:"source"`
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	Keep     bool      `json:"keep"`
	Why      string    `json:"why"`
}

// forget applies the retention policy: it deletes snapshots, never data.
type forget struct{ Setup }

// Check implements worker.Handler.
func (h *forget) Check(messages.Job) error { return nil }

// Run implements worker.Handler.
func (h *forget) Run(ctx context.Context, t *worker.Task) (_ any, err error) {
	spec := t.Job.Spec.(*messages.ForgetSpec)
	repo, closeRepo, err := h.Repositories.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer closing(closeRepo, &err)
	snapshots, damaged, err := repo.Snapshots(ctx, spec.Source)
	if err != nil {
		return nil, err
	}
	byID := map[string]repository.Snapshot{}
	for _, s := range snapshots {
		byID[s.ID] = s
	}
	if err := h.known(spec, byID); err != nil {
		return nil, err
	}
	result := ForgetResult{DryRun: spec.DryRun, Held: map[string]string{}}
	for _, err := range bounded(damaged) {
		result.Damaged = append(result.Damaged, err.Error())
	}
	decisions := h.Settings().Retention.Decide(facts(snapshots), h.Clock.Now())
	for i, d := range decisions {
		decisions[i] = h.narrow(ctx, spec, d, result.Held)
	}
	slices.SortStableFunc(decisions, func(a, b retention.Decision) int { // forgotten ones first
		return btoi(a.Keep) - btoi(b.Keep)
	})
	for _, d := range decisions {
		if d.Keep {
			result.Kept++
		} else if err := h.delete(ctx, repo, t, byID[d.Snapshot.ID]); err != nil {
			return result, err
		} else {
			result.Forgotten++
			t.Meter.Add(worker.Advance{Files: 1, Current: d.Snapshot.ID})
		}
		if len(result.Decisions) < maxNamed {
			result.Decisions = append(result.Decisions, ForgetDecision{
				Snapshot: d.Snapshot.ID, Source: d.Snapshot.Source, Type: d.Snapshot.Type, Time: d.Snapshot.Time, Keep: d.Keep, Why: d.Why,
			})
		}
	}
	return result, nil
}

// known refuses a job that names a source or a snapshot nobody has heard of.
func (h *forget) known(spec *messages.ForgetSpec, stored map[string]repository.Snapshot) error {
	sources := h.Settings().Sources
	if _, ok := sources[spec.Source]; !ok && spec.Source != "" && len(stored) == 0 {
		return unknownSource(spec.Source, slices.Sorted(maps.Keys(sources)))
	}
	for _, id := range spec.Snapshots {
		if _, ok := stored[id]; !ok {
			return &messages.RefusedError{
				Reason: fmt.Sprintf("there is no snapshot %q", id), Field: "snapshots",
				Hint: "forget takes whole ids; see `mahavishnu snapshots`",
			}
		}
	}
	return nil
}

// narrow keeps what the policy would let go where the job does not ask for it,
// or where the source is held.
func (h *forget) narrow(ctx context.Context, spec *messages.ForgetSpec, d retention.Decision, held map[string]string) retention.Decision {
	if d.Keep {
		return d
	}
	keep := func(why string) retention.Decision {
		return retention.Decision{Snapshot: d.Snapshot, Keep: true, Why: why}
	}
	if len(spec.Snapshots) > 0 && !slices.Contains(spec.Snapshots, d.Snapshot.ID) {
		return keep("kept: the job does not name it")
	}
	if h.Hold == nil {
		return d
	}
	reason, err := h.Hold(ctx, d.Snapshot.Source)
	if err != nil {
		reason = "it cannot be told whether an alarm is on: " + err.Error()
	}
	if reason != "" {
		held[d.Snapshot.Source] = reason
		return keep("kept: " + reason)
	}
	return d
}

// delete forgets one snapshot, unless it is a dry run.
func (h *forget) delete(ctx context.Context, repo *repository.Repository, t *worker.Task, snap repository.Snapshot) error {
	if t.Job.Spec.(*messages.ForgetSpec).DryRun {
		return nil
	}
	if err := t.Fence(ctx); err != nil {
		return err
	}
	if err := repo.DeleteSnapshot(ctx, snap); err != nil {
		return fault.New("forget snapshot", snap.ID, err, "")
	}
	return nil
}

// facts are what the policy looks at.
func facts(snapshots []repository.Snapshot) []retention.Snapshot {
	all := make([]retention.Snapshot, len(snapshots))
	for i, s := range snapshots {
		all[i] = retention.Snapshot{ID: s.ID, Source: s.Source, Type: s.Type, Time: s.Time, Pinned: s.Labels[LabelPinned]}
	}
	return all
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
