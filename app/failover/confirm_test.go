package failover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/metrics"
)

// A person's word reaches the keeper under the leader's epoch, and everybody hears who gave it.
func TestAPersonsWordReachesTheKeeper(t *testing.T) {
	p, b := planned(t)
	p.log, p.metrics = zerolog.Nop(), metrics.New("test")
	var mu sync.Mutex
	var said []messages.MemberCommand
	reply := messages.MemberReply{OK: true, State: messages.MemberState{Service: "orders", Member: "b"}}
	stop, err := b.ServeMember(t.Context(), "orders", "b", func(_ context.Context, c messages.MemberCommand) messages.MemberReply {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, c)
		return reply
	})
	if err != nil {
		t.Fatal(err)
	}
	q := plan.Request{Ask: plan.AskConfirmStopped, Service: "orders", Member: "b", By: "ann", Reason: "pulled the plug"}
	done, err := p.confirmStopped(t.Context(), 7, q)
	if err != nil || !strings.Contains(done, "ann says that orders/b was stopped by hand (pulled the plug)") {
		t.Fatalf("%q, %v", done, err)
	}
	mu.Lock()
	if c := said[0]; len(said) != 1 || c.Verb != messages.VerbConfirmStopped || c.Epoch != 7 || c.By != "ann" || c.Reason != "pulled the plug" {
		t.Errorf("%+v", said)
	}
	reply = messages.MemberReply{Message: "it is leading", Hint: "look"}
	mu.Unlock()
	if _, err := p.confirmStopped(t.Context(), 7, q); !errors.Is(err, plan.ErrRefused) || !slices.Contains(fault.Hints(err), "look") {
		t.Errorf("a member that is well: %v", err)
	}
	mu.Lock()
	reply = messages.MemberReply{Message: "it is leading"}
	mu.Unlock()
	if _, err := p.confirmStopped(t.Context(), 7, q); !slices.ContainsFunc(fault.Hints(err), func(h string) bool { return strings.Contains(h, "--graceful --set service=orders --set to=a") }) {
		t.Errorf("a primary that is well, hints %q", fault.Hints(err))
	}
	mu.Lock()
	reply = messages.MemberReply{Message: "too late", Code: messages.MemberStale}
	mu.Unlock()
	if _, err := p.confirmStopped(t.Context(), 7, q); !errors.Is(err, plan.ErrFenced) {
		t.Errorf("a leader that leads no more: %v", err)
	}
	stop()
	for name, change := range map[string]func(*plan.Request){
		"nobody answers":    func(*plan.Request) {},
		"nobody says so":    func(q *plan.Request) { q.By = "" },
		"nothing was done":  func(q *plan.Request) { q.Reason = "" },
		"no such member":    func(q *plan.Request) { q.Member = "z" },
		"no such a service": func(q *plan.Request) { q.Service = "z" },
	} {
		wrong := q
		change(&wrong)
		if _, err := p.confirmStopped(t.Context(), 7, wrong); err == nil {
			t.Errorf("%s, and it is done", name)
		}
	}
	var told []string
	err = b.ReadEvents(t.Context(), bus.EventFilter{Kind: messages.EventPlan, Outcome: messages.OutcomeNotice}, func(e bus.EventMessage) error {
		told = append(told, e.Error)
		return nil
	})
	if err != nil || !slices.Equal(told, []string{done}) {
		t.Errorf("told were %q, %v", told, err)
	}
}
