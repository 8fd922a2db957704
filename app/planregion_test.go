package app

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/plan"
)

// A region is left in good order: what its primary wrote last is in the other region,
// which takes writes, and the old primary follows.
func TestServicesLeaveARegion(t *testing.T) {
	p := newPair(t)
	p.a.Exec("CREATE TABLE orders (n int)")
	comes(t, "the primary is kept and the standby is seen", func() bool {
		return p.member("a").Keeper.Holds && p.member("b").Keeper.Healthy && p.member("b").Keeper.Role == "standby"
	})
	p.a.Exec("INSERT INTO orders VALUES (1)")
	var begun plan.Reply
	comes(t, "the leader takes the order", func() bool {
		begun = p.ask(t, plan.Request{
			Ask: plan.AskExecute, Plan: "network_partition", Variant: plan.Graceful, Params: map[string]string{"from": "eu", "to": "us"}, By: "ann",
		})
		return begun.Err() == nil && begun.Execution != nil
	})
	x := p.apps["us-1"].coordinatorPlans(t)
	var done plan.Execution
	comes(t, "the plan is finished", func() bool {
		var err error
		if done, err = x.Find(t.Context(), begun.Execution.ID); err != nil {
			t.Fatal(err)
		}
		return done.State.Final() || done.State == plan.StateStopped
	})
	for _, e := range done.Entries {
		t.Logf("%-10s %-8s %6v %s%s", e.Step, e.Outcome, e.Finished.Sub(e.Started).Round(time.Millisecond), e.Output, e.Error)
	}
	if done.State != plan.StateCommitted {
		t.Fatalf("it is %s: %s", done.State, done.Error)
	}
	comes(t, "the new region takes writes", func() bool { return p.b.Try("INSERT INTO orders VALUES (2)") == nil })
	if n := p.b.Text("SELECT count(*)::text FROM orders"); n != "2" {
		t.Errorf("%s rows, want 2", n)
	}
	comes(t, "the old primary follows", func() bool {
		m := p.member("a").Keeper
		return m.Healthy && m.Role == "standby" && !m.Writable
	})
}

// ask sends a request to the leader.
func (p *pair) ask(t *testing.T, q plan.Request) plan.Reply {
	t.Helper()
	data, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.apps["us-1"].Bus().AskPlans(t.Context(), data)
	if err != nil {
		return plan.Reply{Error: err.Error()}
	}
	reply, err := plan.DecodeReply(answer)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// A copy is made the primary by a plan's action, once, also when it is asked twice.
func TestRepositoryIsPromotedByAPlan(t *testing.T) {
	cfg, replicas, pair := pairOf(t)
	if err := copied(t, replicas, pair); err != nil {
		t.Fatal(err)
	}
	records := regionRecords{&memoryStore{}, clock.System()}
	p := &planner{cfg: cfg, replicas: replicas, regions: records, clock: clock.System()}
	c := plan.Call{Epoch: 7, Node: "n1", Execution: "x", Params: map[string]string{"from": pair.Primary, "to": pair.Secondary, "lag": "1h"}}
	if ok, seen, err := p.repositoryCurrent(t.Context(), c); err != nil || !ok {
		t.Errorf("%v %s %v", ok, seen, err)
	}
	for _, want := range []bool{false, true} {
		if done, err := p.repositoryPromoted(t.Context(), c); err != nil || done != want {
			t.Fatalf("done is %v, want %v (%v)", done, want, err)
		}
		if text, err := p.promoteRepository(t.Context(), c); err != nil || !strings.Contains(text, "is the primary") {
			t.Fatalf("%s %v", text, err)
		}
	}
	c.Params["to"] = "elsewhere"
	if _, err := p.checkCopy(t.Context(), c); err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("a copy that is not configured: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the lease is lost"))
	if err := p.until(ctx, func() bool { return false }); err == nil {
		t.Error("a move goes on after its lease")
	}
}
