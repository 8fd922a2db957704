package app

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

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
	if !slices.ContainsFunc(done.Entries, func(e plan.Entry) bool {
		return e.Step == "takes-writes" && strings.Contains(e.Output, " on b")
	}) {
		t.Error("nobody looked whether the new primary takes writes")
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
