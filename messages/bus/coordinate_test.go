package bus_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

func TestOpinionsAreHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan messages.OpinionReport, 1000), make(chan error, 1)
	go func() {
		ended <- r.WatchOpinions(ctx, func(o messages.OpinionReport) { heard <- o })
	}()
	sent := messages.OpinionReport{Node: "eu-1", Region: "eu", Hears: []string{"eu-1"}, Opinions: []messages.Opinion{{Target: "node/n", State: "down"}}}
	for {
		if err := r.PublishOpinions(sent); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-heard:
			if got.Node != "eu-1" || len(got.Opinions) != 1 || got.Opinions[0].State != "down" {
				t.Errorf("heard %+v", got)
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("listening ended with %v", err)
			}
			return
		case <-time.After(20 * time.Millisecond): // nobody listens yet
		}
	}
}

func TestCoordinatorsAreAskedTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ask := messages.ControlRequest{Verb: messages.VerbStatus}
	if replies, err := r.AskCoordinators(t.Context(), ask, 2, 20*time.Second); err != nil || len(replies) != 0 {
		t.Errorf("nobody is there: %v, %v", replies, err)
	}
	for _, node := range []string{"eu-1", "us-1"} {
		stop, err := r.ServeCoordinator(node, func(messages.ControlRequest) messages.ControlReply {
			return messages.ControlReply{OK: true, Node: node}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	replies, err := r.AskCoordinators(t.Context(), ask, 2, 20*time.Second)
	if err != nil || len(replies) != 2 || replies[0].Node == replies[1].Node {
		t.Errorf("%+v, %v", replies, err)
	}
	// It is not known that there is no third: what came within patience counts.
	if replies, err = r.AskCoordinators(t.Context(), ask, 0, 300*time.Millisecond); err != nil || len(replies) != 2 {
		t.Errorf("%+v, %v", replies, err)
	}
}

func TestMembersObey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	promote := messages.MemberCommand{Verb: messages.VerbPromote, Service: "db", Member: "a", Epoch: 7}
	if _, err := r.CommandMember(t.Context(), promote); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("nobody keeps it: %v", err)
	}
	fenced, running := make(chan struct{}), atomic.Bool{}
	stop, err := r.ServeMember(t.Context(), "db", "a", func(ctx context.Context, c messages.MemberCommand) messages.MemberReply {
		switch c.Verb {
		case messages.VerbFence:
			close(fenced)
		case messages.VerbPromote:
			running.Store(true)
			defer running.Store(false)
			<-fenced // while another command is under way
		case messages.VerbDemote:
			<-ctx.Done()
			return messages.MemberReply{Message: context.Cause(ctx).Error()}
		}
		return messages.MemberReply{OK: true, Tenure: c.Epoch + 1, State: messages.MemberState{Service: c.Service, Member: c.Member}}
	})
	if err != nil {
		t.Fatal(err)
	}
	promoted := make(chan messages.MemberReply, 1)
	go func() {
		reply, err := r.CommandMember(t.Context(), promote)
		if err != nil {
			t.Error(err)
		}
		promoted <- reply
	}()
	for !running.Load() {
		time.Sleep(time.Millisecond)
	}
	fence := promote
	fence.Verb = messages.VerbFence
	if reply, err := r.CommandMember(t.Context(), fence); err != nil || !reply.OK {
		t.Errorf("%+v, %v", reply, err)
	}
	if reply := <-promoted; reply.Tenure != 8 || reply.State.Member != "a" {
		t.Errorf("%+v", reply)
	}
	// Stopping ends what is under way, and waits for it.
	demote := promote
	demote.Verb = messages.VerbDemote
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.CommandMember(short, demote); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	stop()
	if _, err := r.CommandMember(t.Context(), promote); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("it obeys after it was stopped: %v", err)
	}
}
