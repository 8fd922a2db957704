package worker

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
)

// untilTold runs until the context ends.
func untilTold(ctx context.Context, _ *Task) (any, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func TestCancelRunningJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, 60*time.Second) // no heartbeat would notice in time
	r.start(Options{Slots: 1, Handlers: backups(untilTold)})
	id := r.submit("home")
	r.await(id, messages.StateRunning)
	rec, err := Cancel(t.Context(), r.Bus, nil, id, "ann", "wrong source")
	if err != nil || rec.State != messages.StateRunning {
		t.Fatalf("Cancel: %s, %v", rec.State, err)
	}
	e := r.await(id, messages.StateCancelled)
	r.empty()
	if diff := cmp.Diff([]string{"queued/0", "running/1", "cancelled/1: cancelled by ann: wrong source"}, history(e.Record)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if got := strings.Join(r.events(id), " "); got != "started/1 cancelled/1" {
		t.Errorf("events %s", got)
	}
	if _, err := Cancel(t.Context(), r.Bus, nil, id, "ann", "again"); err == nil || !strings.Contains(err.Error(), "cancelled already") {
		t.Errorf("second Cancel: %v", err)
	}
}

func TestCancelSeenByTheHeartbeat(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2*time.Second)
	r.start(Options{Slots: 1, Handlers: backups(untilTold)})
	id := r.submit("home")
	r.await(id, messages.StateRunning)
	// Only the record: as when the control message is lost.
	_, err := r.Records().Change(t.Context(), id, func(rec messages.Record) (messages.Record, error) {
		return rec.RequestCancel(time.Now(), "ann", "")
	})
	if err != nil {
		t.Fatal(err)
	}
	r.await(id, messages.StateCancelled)
}

func TestCancelByControlMessageAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, 60*time.Second)
	r.start(Options{Slots: 1, Handlers: backups(untilTold)})
	id := r.submit("home")
	var reply messages.ControlReply
	r.eventually("the worker listens", func() bool {
		var err error
		reply, err = r.ControlJob(t.Context(), messages.ControlRequest{Verb: messages.VerbCancel, Job: id, By: "operator"})
		return err == nil
	})
	if !reply.OK || reply.Node != "node1" {
		t.Errorf("reply %+v", reply)
	}
	e := r.await(id, messages.StateCancelled)
	if e.Cancel == nil || e.Cancel.By != "operator" {
		t.Errorf("the record does not tell who cancelled: %+v", e.Cancel)
	}
}

func TestCancelWaitingJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	id := r.submit("home")
	rec, err := Cancel(t.Context(), r.Bus, nil, id, "ann", "no need")
	if err != nil || rec.State != messages.StateCancelled {
		t.Fatalf("Cancel: %s, %v", rec.State, err)
	}
	r.start(Options{Slots: 1, Handlers: backups(func(context.Context, *Task) (any, error) { panic("it ran") })})
	r.empty()
	if got := strings.Join(r.events(id), " "); got != "cancelled/0" {
		t.Errorf("events %s", got)
	}
}

func TestDrainLetsJobsFinish(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	begun, release := make(chan struct{}, 2), make(chan struct{})
	stop := r.start(Options{Slots: 1, Grace: time.Minute, Handlers: backups(func(ctx context.Context, _ *Task) (any, error) {
		begun <- struct{}{}
		<-release
		return nil, ctx.Err()
	})})
	first := r.submit("home")
	<-begun
	second := r.submit("home")
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	close(release)
	<-stopped
	if s := r.record(first).State; s != messages.StateSucceeded {
		t.Errorf("the running job is %s", s)
	}
	if s := r.record(second).State; s != messages.StateQueued {
		t.Errorf("the waiting job is %s: it was pulled while draining", s)
	}
}

func TestDrainHandsBackAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, 60*time.Second) // an AckWait would take too long
	stop := r.start(Options{Slots: 2, Grace: -1, Handlers: backups(untilTold)})
	id := r.submit("home")
	r.await(id, messages.StateRunning)
	stop()
	if diff := cmp.Diff([]string{"queued/0", "running/1", "queued/1: interrupted: worker node1 is stopping"}, history(r.record(id).Record)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	r.start(Options{Node: "node2", Slots: 1, Handlers: backups(func(context.Context, *Task) (any, error) { return nil, nil })})
	e := r.await(id, messages.StateSucceeded)
	r.empty()
	if e.Attempt != 2 || e.Spent != 0 || e.Worker != "node2" {
		t.Errorf("attempt %d, spent %d, worker %s; want 2, 0, node2", e.Attempt, e.Spent, e.Worker)
	}
	if got := strings.Join(r.events(id), " "); got != "started/1 interrupted/1 started/2 succeeded/2" {
		t.Errorf("events %s", got)
	}
}

func TestHandlerThatDoesNotStopIsAbandonedAndFenced(t *testing.T) {
	t.Parallel()
	r := newRig(t, 60*time.Second)
	release, fenced := make(chan struct{}), make(chan error, 1)
	stop := r.start(Options{Slots: 1, Grace: -1, StopTime: 50 * time.Millisecond, Handlers: backups(func(ctx context.Context, task *Task) (any, error) {
		<-release // deaf to ctx
		fenced <- task.Fence(context.WithoutCancel(ctx))
		return nil, nil
	})})
	id := r.submit("home")
	r.await(id, messages.StateRunning)
	stop()
	if s := r.record(id).State; s != messages.StateQueued {
		t.Fatalf("after the drain the job is %s", s)
	}
	close(release)
	if err := <-fenced; err == nil {
		t.Error("the abandoned handler passed the fence")
	}
}

func TestSlotBeforePull(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	release := make(chan struct{})
	var running, most atomic.Int32
	r.start(Options{Slots: 2, Handlers: backups(func(context.Context, *Task) (any, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		<-release
		return nil, nil
	})})
	var ids []string
	for range 6 {
		ids = append(ids, r.submit("home"))
	}
	r.eventually("two jobs run", func() bool { return running.Load() == 2 })
	info, err := r.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range info.Consumers {
		if c.Kind == messages.KindBackup && c.Region == region && (c.Held != 2 || c.Waiting != 4) {
			t.Errorf("%d messages held, %d waiting; want 2 and 4", c.Held, c.Waiting)
		}
	}
	close(release)
	for _, id := range ids {
		r.await(id, messages.StateSucceeded)
	}
	if most.Load() != 2 {
		t.Errorf("%d jobs ran at once in 2 slots", most.Load())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2*time.Second)
	good := Options{Bus: r.Bus, Node: "n", Region: region, Handlers: backups(untilTold)}
	for name, change := range map[string]func(*Options){
		"no bus":       func(o *Options) { o.Bus = nil },
		"bad node":     func(o *Options) { o.Node = "a.b" },
		"bad region":   func(o *Options) { o.Region = "*" },
		"no handler":   func(o *Options) { o.Kinds = []messages.Kind{messages.KindDrill} },
		"no kinds":     func(o *Options) { o.Kinds = []messages.Kind{} },
		"no handlers":  func(o *Options) { o.Handlers = nil },
		"unknown kind": func(o *Options) { o.Kinds = []messages.Kind{"bakcup"} },
	} {
		o := good
		change(&o)
		if _, err := NewPool(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewPool(good); err != nil {
		t.Error(err)
	}
}
