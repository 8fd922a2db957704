package handlers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/storage"
	"mahavishnu/worker"
)

// busyPause is how long a job waits for another that uses its target.
const busyPause = 30 * time.Second

// RestoreResult is what a restore job leaves in its record: the report of the
// restore, and whose snapshot it was.
type RestoreResult struct {
	Source string    `json:"source"`
	Time   time.Time `json:"time"`
	// Worker has the target in its staging directory.
	Worker string `json:"worker"`
	snapshot.RestoreReport
}

// restore writes a snapshot to a named directory in staging.
type restore struct {
	Setup
	staging *staging
}

// overwrites are the policies by their names in jobs.
var overwrites = map[string]snapshot.Overwrite{
	"":            snapshot.OverwriteOlder,
	"never-newer": snapshot.OverwriteOlder,
	"always":      snapshot.OverwriteAlways,
	"never":       snapshot.OverwriteNever,
	"if-changed":  snapshot.OverwriteChanged,
}

// Check implements worker.Handler.
func (h *restore) Check(job messages.Job) error {
	spec := job.Spec.(*messages.RestoreSpec)
	if _, ok := overwrites[spec.Overwrite]; !ok {
		return &messages.RefusedError{Reason: fmt.Sprintf("%q is not a way to overwrite", spec.Overwrite), Field: "overwrite"}
	}
	return errors.Join(checkPatterns("include", spec.Include), checkPatterns("exclude", spec.Exclude))
}

// Run implements worker.Handler.
func (h *restore) Run(ctx context.Context, t *worker.Task) (_ any, err error) {
	spec := t.Job.Spec.(*messages.RestoreSpec)
	repo, closeRepo, err := h.open(ctx, t.Job, false)
	if err != nil {
		return nil, err
	}
	defer closing(closeRepo, &err)
	done, err := h.reading(ctx, repo)
	if err != nil {
		return nil, err
	}
	defer closing(done, &err)
	snap, err := find(ctx, repo, spec.Snapshot, spec.Source)
	if err != nil {
		return nil, err
	}
	target, release, err := h.staging.take(spec.Target)
	if errors.Is(err, errBusy) {
		return nil, worker.Snooze(busyPause, err.Error())
	}
	if err != nil {
		return nil, err
	}
	defer release()
	verify := h.Settings().VerifyOnRestore
	if spec.Verify != nil {
		verify = *spec.Verify
	}
	report, err := snapshot.Restore(ctx, repo, snap, snapshot.RestoreOptions{
		Target: target, Include: spec.Include, Exclude: spec.Exclude, Delete: spec.Delete, DryRun: spec.DryRun,
		Overwrite: overwrites[spec.Overwrite], Verify: verify, Progress: progress{t.Meter}, Clock: h.Clock,
	})
	report.Issues = bounded(report.Issues)
	result := RestoreResult{Source: snap.Source, Time: snap.Time, Worker: t.Worker, RestoreReport: report}
	return result, restoreVerdict(err, report)
}

// reading tells collectors of garbage that the job reads: what is in the
// repository from now on stays until done is called.
func (s Setup) reading(ctx context.Context, repo *repository.Repository) (done func() error, err error) {
	o := s.lease()
	o.Clock = s.Clock
	held, err := repo.Reader(ctx, o)
	if err != nil {
		return nil, err
	}
	done = func() error { return held.Close(context.WithoutCancel(ctx)) }
	if held.Held() {
		err = repo.Refresh(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, done())
	}
	return done, nil
}

// restoreVerdict decides what the end of a restore means for its job. Damage,
// and a snapshot without what was asked for, are final: trying again finds the same. What the policy kept and metadata that
// this user may not set are told in the result; the job is done.
func restoreVerdict(err error, report snapshot.RestoreReport) error {
	switch {
	case errors.Is(err, storage.ErrArchived):
		return worker.Discard(fault.New("restore by a job", "", err, "no job waits the hours that thawing takes, nor spends what it costs: restore where the files are wanted with `mahavishnu restore SNAPSHOT --thaw --target DIR`, without --staging"))
	case errors.Is(err, repository.ErrDamaged), errors.Is(err, snapshot.ErrNothingFits):
		return worker.Discard(err)
	case errors.Is(err, snapshot.ErrIncomplete) && report.Failed == 0:
		return nil
	}
	return err
}
