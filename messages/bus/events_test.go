package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

var errStop = errors.New("stop")

func event(id string, o messages.Outcome) messages.Event {
	r := messages.NewRecord(backup(id), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return messages.NewEvent(r, o, r.Created)
}

func TestEventsReachTheirReaderOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	want := []messages.Event{event("a", "started"), event("a", "succeeded"), event("b", "failed")}
	for _, e := range append(want, want...) { // said twice, kept once
		if err := r.PublishEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	var got []messages.Event
	err := r.Events(t.Context(), "reader", func(_ context.Context, m bus.EventMessage) error {
		if got = append(got, m.Event); len(got) == 2 {
			return errStop // not acknowledged: it comes again
		}
		return nil
	})
	if !errors.Is(err, errStop) {
		t.Fatal(err)
	}
	got = got[:1]
	ctx, cancel := context.WithCancelCause(t.Context())
	err = r.Events(ctx, "reader", func(_ context.Context, m bus.EventMessage) error {
		if got = append(got, m.Event); len(got) == 3 {
			cancel(errStop)
		}
		return nil
	})
	if !errors.Is(err, errStop) {
		t.Fatal(err)
	}
	seen := map[string]messages.Event{}
	for _, e := range got {
		seen[e.ID] = e
	}
	for _, e := range want {
		if diff := cmp.Diff(e, seen[e.ID]); diff != "" {
			t.Error(diff)
		}
	}
	if err := r.Events(t.Context(), "stranger", nil); !errors.Is(err, bus.ErrNotProvisioned) {
		t.Errorf("a reader nobody provisioned: %v", err)
	}
}

func TestReadAndFollowEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, e := range []messages.Event{event("a", "started"), event("a", "succeeded"), event("b", "started")} {
		if err := r.PublishEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	read := func(f bus.EventFilter) (ids []string) {
		t.Helper()
		err := r.ReadEvents(t.Context(), f, func(m bus.EventMessage) error { ids = append(ids, m.ID); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	for _, c := range []struct {
		f    bus.EventFilter
		want []string
	}{
		{bus.EventFilter{}, []string{"a.0.started", "a.0.succeeded", "b.0.started"}},
		{bus.EventFilter{Outcome: "started", Kind: "backup", Region: region}, []string{"a.0.started", "b.0.started"}},
		{bus.EventFilter{Job: "a", Since: time.Now().Add(-time.Hour)}, []string{"a.0.started", "a.0.succeeded"}},
		{bus.EventFilter{Kind: "verify"}, nil},
	} {
		if diff := cmp.Diff(c.want, read(c.f)); diff != "" {
			t.Errorf("%+v: %s", c.f, diff)
		}
	}
	got := make(chan string, 100)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		ended <- r.FollowEvents(ctx, bus.EventFilter{Job: "c"}, func(m bus.EventMessage) error { got <- m.ID; return nil })
	}()
	n := uint64(0)
	eventually(t, "the follower to hear something new", func() bool {
		r.PublishEvent(t.Context(), event("d", "started"))
		e := event("c", "started")
		e.Attempt, e.ID = n, e.ID+"."+string(rune('a'+n%26))
		n++
		if err := r.PublishEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		return len(got) > 0
	})
	cancel(errStop)
	if err := <-ended; !errors.Is(err, errStop) {
		t.Errorf("FollowEvents = %v", err)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(errStop)
	progress, beats := make(chan messages.ProgressReport, 1000), make(chan messages.Heartbeat, 1000)
	ended := make(chan error, 2)
	go func() {
		ended <- r.WatchProgress(ctx, "x", func(p messages.ProgressReport) { progress <- p })
	}()
	go func() { ended <- r.WatchHeartbeats(ctx, func(h messages.Heartbeat) { beats <- h }) }()
	eventually(t, "progress and a heartbeat", func() bool {
		r.raw.Publish("dr.heartbeat.r.n", []byte("junk is left out"))
		for _, job := range []string{"y", "x"} {
			if err := r.PublishProgress(messages.ProgressReport{Job: job, Progress: messages.Progress{Bytes: 7}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.PublishHeartbeat(messages.Heartbeat{Node: "n1", Region: region, Sequence: 3}); err != nil {
			t.Fatal(err)
		}
		return len(progress) > 0 && len(beats) > 0
	})
	if p := <-progress; p.Job != "x" || p.Bytes != 7 {
		t.Errorf("progress %+v", p)
	}
	if h := <-beats; h.Node != "n1" || h.Sequence != 3 {
		t.Errorf("heartbeat %+v", h)
	}
	cancel(errStop)
	for range 2 {
		if err := <-ended; !errors.Is(err, errStop) {
			t.Errorf("watch ended with %v", err)
		}
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	req := messages.ControlRequest{Verb: messages.VerbCancel, Job: "x", By: "me"}
	if _, err := r.ControlJob(t.Context(), req); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("nobody runs the job: %v, want ErrNobody", err)
	}
	stop, err := r.ServeJob("x", func(got messages.ControlRequest) messages.ControlReply {
		return messages.ControlReply{OK: got == req, Node: "w1"}
	})
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := r.ControlJob(t.Context(), req); err != nil || !reply.OK || reply.Node != "w1" {
		t.Errorf("reply %+v, %v", reply, err)
	}
	stop()
	eventually(t, "the worker to stop listening", func() bool {
		_, err := r.ControlJob(t.Context(), req)
		return errors.Is(err, bus.ErrNobody)
	})
	stop, err = r.ServeJob("y", func(messages.ControlRequest) messages.ControlReply { return messages.ControlReply{OK: true} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	m, err := r.raw.Request(messages.JobControlSubject("y"), []byte("junk"), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := messages.DecodeControlReply(m.Data); err != nil || reply.OK || reply.Message == "" {
		t.Errorf("reply to junk %+v, %v", reply, err)
	}
}
