package scheduler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mahavishnu/messages"
)

// FollowUps says which jobs follow a backup.
type FollowUps struct {
	// Verify follows every backup, also one that a person asked for: it reads what
	// the backup stored.
	Verify bool
	// Oldest is how many bytes it reads besides, of what was not verified for
	// OlderThan.
	Oldest    int64
	OlderThan time.Duration
	// Forget applies the retention policy to the source of a scheduled backup.
	// It follows the verify job when there is one, so that a backup that does
	// not verify makes no older one go.
	Forget bool
	// Prune removes what no snapshot needs any more after the first forget job of
	// each span of this length (of a day: from midnight UTC). Zero never does.
	Prune time.Duration
	// Replicate are the copies that follow every backup in the region they copy
	// from.
	Replicate []Copy
}

// After returns the jobs that follow from an event. Their ids depend on the
// event's job only: an event that is told twice leads to one job.
func (f FollowUps) After(e messages.Event) ([]messages.Job, error) {
	if e.Outcome != messages.OutcomeSucceeded {
		return nil, nil
	}
	var jobs []messages.Job
	if e.Kind == messages.KindBackup {
		jobs = f.replicate(e)
	}
	next, err := f.next(e)
	return append(jobs, next...), err
}

// next returns the job that carries on the chain of verify, forget and prune.
func (f FollowUps) next(e messages.Event) ([]messages.Job, error) {
	scheduled := e.Labels[LabelSchedule] != ""
	switch {
	case e.Kind == messages.KindBackup && f.Verify:
		made, err := resultOf(e)
		if err != nil {
			return nil, err
		}
		spec := &messages.VerifySpec{Source: e.Source, Snapshot: made.Snapshot, New: made.Snapshot != ""}
		if f.Oldest > 0 {
			spec.Oldest, spec.OlderThanDays = f.Oldest, f.OlderThan.Hours()/24
		}
		return []messages.Job{followUp(e, "verify", spec)}, nil
	case e.Kind == messages.KindBackup && f.Forget && scheduled,
		e.Kind == messages.KindVerify && f.Forget && scheduled && e.Labels[LabelAfter] != "":
		return []messages.Job{followUp(e, "forget", &messages.ForgetSpec{Source: e.Source})}, nil
	case e.Kind == messages.KindForget && f.Prune > 0 && scheduled && e.Labels[LabelAfter] != "":
		return []messages.Job{f.prune(e)}, nil
	}
	return nil, nil
}

// prune returns the job that prunes after a forget job. All forget jobs of a
// region and span lead to the same one: however many sources there are, the
// storage is gone through once.
func (f FollowUps) prune(e messages.Event) messages.Job {
	job := followUp(e, "prune", &messages.PruneSpec{})
	job.ID = "prune/" + idToken(e.Region) + "/" + e.Time.UTC().Truncate(f.Prune).Format(slotTime)
	return job
}

// followUp returns a job that follows the event's, in its region.
func followUp(e messages.Event, what string, spec messages.Spec) messages.Job {
	labels := map[string]string{LabelAfter: e.Job}
	for _, name := range []string{LabelSchedule, LabelSlot} {
		if value := e.Labels[name]; value != "" {
			labels[name] = value
		}
	}
	origin := e.Job
	if first := e.Labels[LabelAfter]; first != "" {
		origin = first // one id per backup and kind, however long the chain
	}
	id := origin + "/" + what
	if !messages.ValidID(id) {
		sum := sha256.Sum256([]byte(origin))
		id = "after-" + hex.EncodeToString(sum[:16]) + "/" + what
	}
	return messages.Job{
		Kind: spec.Kind(), Region: e.Region, Spec: spec,
		Envelope: messages.Envelope{ID: id, Labels: labels},
	}
}

// backupResult is what the scheduler reads in a backup's result.
type backupResult struct {
	Snapshot string `json:"snapshot"`
}

func resultOf(e messages.Event) (backupResult, error) {
	var r backupResult
	if len(e.Result) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(e.Result, &r); err != nil {
		return r, fmt.Errorf("result of backup %s: %w", e.Job, err)
	}
	return r, nil
}

// follow submits the follow-ups of every event until ctx ends. What fails is
// reported and tried again.
func (s *Scheduler) follow(ctx context.Context) error {
	for {
		err := s.events.Follow(ctx, s.followEvent)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.fail("follow up", err)
		if err := s.clock.Sleep(ctx, retryAfter); err != nil {
			return err
		}
	}
}

// followEvent submits the follow-ups of an event. It returns only errors that
// another try may mend.
func (s *Scheduler) followEvent(ctx context.Context, e messages.Event) error {
	jobs, err := s.Plan().FollowUps.After(e)
	if err != nil {
		s.fail("follow up", err)
	}
	for _, job := range s.wanted(jobs) {
		_, err := s.queue.Submit(ctx, job)
		if err == nil {
			continue
		}
		err = fmt.Errorf("submit follow-up %s: %w", job.ID, err)
		if refused := (*messages.RefusedError)(nil); !errors.As(err, &refused) {
			return err
		}
		s.fail("follow up", err)
	}
	return nil
}
