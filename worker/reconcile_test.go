package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/clock"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// ahead is a clock that runs ahead of the machine's.
type ahead struct {
	clock.Clock
	by time.Duration
}

func (c ahead) Now() time.Time { return c.Clock.Now().Add(c.by) }

func (r *rig) sweep(by time.Duration) Report {
	r.Helper()
	report, err := NewReconciler(ReconcilerOptions{Bus: r.Bus, Clock: ahead{clock.System(), by}}).Sweep(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return report
}

// drained removes a job's message, as when the queue lost it.
func (r *rig) drained(id string) {
	r.Helper()
	for _, m := range r.queued() {
		if m.Job == id {
			if err := r.Drop(r.Context(), m.Sequence); err != nil {
				r.Fatal(err)
			}
		}
	}
}

func (r *rig) change(id string, fn func(messages.Record) (messages.Record, error)) bus.Entry {
	r.Helper()
	e, err := r.Records().Change(r.Context(), id, fn)
	if err != nil {
		r.Fatal(err)
	}
	return e
}

func (r *rig) claim(id string, lease time.Duration) {
	r.Helper()
	r.change(id, func(rec messages.Record) (messages.Record, error) { return rec.Claim("gone", time.Now(), lease) })
}

func TestReconcilerWakesWhatHasNoMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2*time.Second)
	queued, running, waiting, due, fine := r.submit("home"), r.submit("home"), r.submit("home"), r.submit("home"), r.submit("home")
	r.claim(running, time.Second)
	for id, at := range map[string]time.Time{waiting: time.Now().Add(time.Hour), due: time.Now().Add(-time.Second)} {
		r.claim(id, time.Second)
		r.change(id, func(rec messages.Record) (messages.Record, error) {
			return rec.Retry(1, time.Now(), at, messages.Failure{Error: "boom"})
		})
	}
	for _, id := range []string{queued, running, waiting, due} {
		r.drained(id)
	}

	if woken := r.sweep(0).Woken; !slices.Equal(woken, []string{due}) {
		t.Errorf("at once woken: %v, want the one that is due", woken)
	}
	report := r.sweep(2 * time.Minute)
	slices.Sort(report.Woken)
	want := []string{queued, running}
	slices.Sort(want)
	if diff := cmp.Diff(want, report.Woken); diff != "" {
		t.Errorf("later woken (-want +got):\n%s", diff)
	}
	if woken := r.sweep(2 * time.Hour).Woken; !slices.Equal(woken, []string{waiting}) {
		t.Errorf("in two hours woken: %v, want the one that waited", woken)
	}
	if woken := r.sweep(2 * time.Hour).Woken; len(woken) != 0 {
		t.Errorf("woken twice: %v", woken)
	}
	r.start(Options{Slots: 1, Handlers: backups(func(context.Context, *Task) (any, error) { return nil, nil })})
	for _, id := range []string{queued, running, due, fine} {
		r.await(id, messages.StateSucceeded)
	}
}

// TestReconcilerAcceptsWhatWasSentByHand lets jobs wait while no worker runs:
// people see them, can cancel one, and the other runs once.
func TestReconcilerAcceptsWhatWasSentByHand(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2*time.Second)
	for _, payload := range []string{`{"source":"home","id":"unwanted"}`, `{"source":"home","id":"wanted"}`, `{"sorce":"home"}`} {
		r.publish("dr.jobs.backup."+region, "", []byte(payload))
	}
	if got := r.sweep(0).Accepted; len(got) != 0 {
		t.Errorf("accepted at once: %v; a worker may be about to", got)
	}
	if diff := cmp.Diff([]string{"unwanted", "wanted"}, r.sweep(time.Minute).Accepted); diff != "" {
		t.Errorf("accepted (-want +got):\n%s", diff)
	}
	if again := r.sweep(time.Minute); len(again.Accepted)+len(again.Woken) != 0 {
		t.Errorf("the next sweep: %+v", again)
	}
	if rec, err := Cancel(t.Context(), r.Bus, nil, "unwanted", "ann", ""); err != nil || rec.State != messages.StateCancelled {
		t.Errorf("cancel: %s, %v", rec.State, err)
	}
	r.start(Options{Slots: 1, Handlers: backups(func(context.Context, *Task) (any, error) { return nil, nil })})
	r.await("wanted", messages.StateSucceeded)
	r.empty()
	for id, want := range map[string]string{"wanted": "accepted/0 started/1 succeeded/1", "unwanted": "accepted/0 cancelled/0"} {
		if got := strings.Join(r.events(id), " "); got != want {
			t.Errorf("%s: events %s, want %s", id, got, want)
		}
	}
}

func TestReconcilerDropsMessagesOfFinishedJobs(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2*time.Second)
	done, dead, redriven := r.submit("home"), r.submit("home"), r.submit("home")
	for _, id := range []string{done, dead, redriven} {
		r.claim(id, time.Minute)
	}
	r.change(done, func(rec messages.Record) (messages.Record, error) { return rec.Succeed(1, time.Now(), nil) })
	fail := func(rec messages.Record) (messages.Record, error) {
		return rec.Fail(1, time.Now(), messages.Failure{Error: "x"}, nil)
	}
	r.change(dead, fail)
	r.change(redriven, fail)
	r.change(redriven, func(rec messages.Record) (messages.Record, error) { return rec.Redrive(time.Now(), "") })
	if got := r.sweep(0).Dropped; len(got) != 0 {
		t.Errorf("dropped at once: %v; the worker may be about to acknowledge", got)
	}
	if got := r.sweep(2 * time.Minute).Dropped; !slices.Equal(got, []uint64{1}) {
		t.Errorf("dropped %v, want the message of the job that is done", got)
	}
	// The dead one's message is a worker's to bury.
	r.start(Options{Slots: 1, Handlers: backups(func(context.Context, *Task) (any, error) { return nil, nil })})
	r.await(redriven, messages.StateSucceeded)
	r.empty()
	if letters := r.letters(); len(letters) != 1 || letters[0].Job != dead || letters[0].Cause != messages.DeadFailed {
		t.Errorf("letters %+v", letters)
	}
}

func TestReconcilerFlagsStuckJobsAndForgetsOldOnes(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2*time.Second)
	stuck, old := r.submit("home"), r.submit("home")
	r.claim(stuck, time.Second)
	r.claim(old, time.Second)
	r.change(old, func(rec messages.Record) (messages.Record, error) { return rec.Succeed(1, time.Now(), nil) })
	if got := r.sweep(time.Minute); len(got.Stuck) != 0 || len(got.Removed) != 0 {
		t.Errorf("too early: %+v", got)
	}
	r.drained(old)
	got := r.sweep(31 * 24 * time.Hour)
	if len(got.Stuck) != 1 || got.Stuck[0].Job.ID != stuck {
		t.Errorf("stuck: %+v", got.Stuck)
	}
	if !slices.Equal(got.Removed, []string{old}) {
		t.Errorf("removed %v", got.Removed)
	}
	if _, err := r.Records().Get(t.Context(), old); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("the old record: %v", err)
	}
}

// TestParkedJobIsWoken lets a job wait longer than a message may be held: the
// queue is empty meanwhile, and a running reconciler brings it back.
func TestParkedJobIsWoken(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	r.start(Options{Slots: 1, ParkAfter: 100 * time.Millisecond, Handlers: backups(func(_ context.Context, t *Task) (any, error) {
		if t.Attempt == 1 {
			return nil, Snooze(500*time.Millisecond, "parked")
		}
		return nil, nil
	})})
	id := r.submit("home")
	r.await(id, messages.StateRetrying)
	r.empty()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- NewReconciler(ReconcilerOptions{Bus: r.Bus, Every: 50 * time.Millisecond}).Run(ctx) }()
	e := r.await(id, messages.StateSucceeded)
	if !e.Started.After(e.History[2].At.Add(490 * time.Millisecond)) {
		t.Errorf("it did not wait: %v, then %v", e.History[2].At, e.Started)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCommitOfADeadWorkerIsSettled is a crash right after the outcome was
// written: the event and the acknowledgement are made up for.
func TestCommitOfADeadWorkerIsSettled(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2*time.Second)
	id := r.submit("home")
	r.claim(id, time.Minute)
	r.change(id, func(rec messages.Record) (messages.Record, error) { return rec.Succeed(1, time.Now(), nil) })
	r.start(Options{Slots: 1, Handlers: backups(func(context.Context, *Task) (any, error) { panic("it ran again") })})
	r.empty()
	if got := r.events(id); !slices.Equal(got, []string{"succeeded/1"}) {
		t.Errorf("events %v", got)
	}
}
