package handlers

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/worker"
)

// VerifyResult is what a verify job leaves in its record: the report, with as
// many problems as a record can hold.
type VerifyResult struct {
	// Snapshot and Source are what the job was limited to.
	Snapshot string  `json:"snapshot,omitempty"`
	Source   string  `json:"source,omitempty"`
	ReadData float64 `json:"read_data"`
	// New and Oldest are what the job asked to be read.
	New    bool  `json:"new,omitempty"`
	Oldest int64 `json:"oldest,omitempty"`
	// Repair is what was mended, when the job asked for it.
	Repair *RepairResult `json:"repair,omitempty"`
	snapshot.VerifyReport
}

// RepairResult is what a verify job mended; the report beside it says what is
// stored then.
type RepairResult struct {
	Mended   int                     `json:"mended"`
	Left     int                     `json:"left"`
	Harmless int                     `json:"harmless"`
	Actions  []snapshot.RepairAction `json:"actions"`
}

// verify checks that snapshots would restore.
type verify struct{ Setup }

// Check implements worker.Handler.
func (h *verify) Check(messages.Job) error { return nil }

// Run implements worker.Handler.
func (h *verify) Run(ctx context.Context, t *worker.Task) (_ any, err error) {
	spec := t.Job.Spec.(*messages.VerifySpec)
	repo, closeRepo, err := h.open(ctx, t.Job, false)
	if err != nil {
		return nil, err
	}
	defer closing(closeRepo, &err)
	snapshots, err := h.subjects(ctx, repo, spec)
	if err != nil {
		return nil, err
	}
	options := snapshot.VerifyOptions{
		Snapshots: snapshots, ReadData: spec.ReadData, Seed: seed(t.Job.ID), New: spec.New, Oldest: spec.Oldest,
		MinAge: time.Duration(spec.OlderThanDays * 24 * float64(time.Hour)), MaxAge: h.Settings().MaxUnverifiedAge,
		Progress: progress{t.Meter}, Lease: h.lease(), Clock: h.Clock,
	}
	result := VerifyResult{Source: spec.Source, ReadData: spec.ReadData, New: spec.New, Oldest: spec.Oldest}
	if spec.Repair {
		if h.Copies != nil {
			copies, letGo := h.Copies(ctx, h.regionOf(t.Job))
			defer closing(letGo, &err)
			options.Replicas = copies
		}
		var done snapshot.RepairReport
		done, err = snapshot.Repair(ctx, repo, options, nil)
		result.VerifyReport = done.Verify
		result.Repair = &RepairResult{Mended: done.Mended, Left: done.Left, Harmless: done.Harmless, Actions: bounded(done.Actions)}
	} else {
		result.VerifyReport, err = snapshot.Verify(ctx, repo, options)
	}
	result.Problems = bounded(result.Problems)
	if spec.Snapshot != "" {
		result.Snapshot = snapshots[0].ID
	}
	if errors.Is(err, repository.ErrDamaged) { // another attempt would find the same
		err = worker.Discard(err)
	}
	return result, err
}

// subjects are the snapshots to verify; nil is all of the repository.
func (h *verify) subjects(ctx context.Context, repo *repository.Repository, spec *messages.VerifySpec) ([]repository.Snapshot, error) {
	switch {
	case spec.Snapshot != "":
		snap, err := find(ctx, repo, spec.Snapshot, spec.Source)
		return []repository.Snapshot{snap}, err
	case spec.Source == "":
		return nil, nil
	}
	snapshots, damaged, err := repo.Snapshots(ctx, spec.Source)
	if err != nil {
		return nil, err
	}
	if len(snapshots) == 0 {
		if sources := h.Settings().Sources; len(damaged) == 0 && sources[spec.Source].Path == "" {
			return nil, unknownSource(spec.Source, slices.Sorted(maps.Keys(sources)))
		}
		return []repository.Snapshot{}, nil // the structure is checked all the same
	}
	return snapshots, nil
}

// seed makes every job choose other packs, and every attempt of it the same.
func seed(job string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(job))
	return h.Sum64()
}
