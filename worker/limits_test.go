package worker

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
)

// A pool's own limits hold for jobs that set none: an attempt that takes too
// long fails and is tried again, as often as the pool allows.
func TestLimitsOfThePoolHoldForJobsWithoutTheirOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	r.start(Options{
		Slots: 1, MaxAttempts: 2, AttemptTime: 50 * time.Millisecond, Retry: fast,
		Handlers: backups(func(ctx context.Context, _ *Task) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
	})
	e := r.await(r.submit("home"), messages.StateDead)
	want := []string{
		"queued/0", "running/1", "retrying/1: " + ErrTooLong.Error(),
		"running/2", "dead/2: no attempts left: " + ErrTooLong.Error(),
	}
	if diff := cmp.Diff(want, history(e.Record)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if e.Job.MaxAttempts != 2 {
		t.Errorf("the record says %d attempts, want the pool's 2", e.Job.MaxAttempts)
	}

	// A job's own settings stand above the pool's.
	e = r.await(r.submit("home", func(j *messages.Job) { j.MaxAttempts = 1 }), messages.StateDead)
	if e.Attempt != 1 {
		t.Errorf("a job with one attempt had %d", e.Attempt)
	}
}
