package app

import (
	"strconv"
	"testing"

	"mahavishnu/app/failover"
	"mahavishnu/coordinator/plan"
	"mahavishnu/postgres/pgtest"
)

// carriedOut waits until an execution is committed.
func (p *pair) carriedOut(t *testing.T, q plan.Request) plan.Execution {
	t.Helper()
	var begun plan.Reply
	comes(t, "the leader takes the order", func() bool {
		begun = p.ask(t, q)
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
		t.Logf("%-16s %-8s %8v %s%s", e.Step, e.Outcome, e.Finished.Sub(e.Started), e.Output, e.Error)
	}
	if done.State != plan.StateCommitted {
		t.Fatalf("%s is %s: %s", done.ID, done.State, done.Error)
	}
	return done
}

// A real pair changes places in good order and back again: nothing that was written is
// lost, also when it is written until the last moment.
func TestAPairChangesPlacesAndBack(t *testing.T) {
	p := newPair(t)
	p.a.Exec("CREATE TABLE orders (n int)")
	comes(t, "the primary is kept and the standby is seen", func() bool {
		return p.member("a").Keeper.Holds && p.member("b").Keeper.Healthy && p.member("b").Keeper.Role == "standby"
	})
	rows := 0
	write := func(m *pgtest.Member) {
		t.Helper()
		rows++
		if err := m.Try("INSERT INTO orders VALUES (1)"); err != nil {
			t.Fatal(err)
		}
	}
	write(p.a)
	away := p.carriedOut(t, plan.Request{Ask: plan.AskExecute, Plan: failover.ServerFailure, Variant: plan.Graceful, By: "ann"})
	if away.Params["from"] != "a" || away.Params["to"] != "b" {
		t.Errorf("it went %v", away.Params)
	}
	write(p.b)
	p.carriedOut(t, plan.Request{Ask: plan.AskFailback, Execution: away.ID, By: "ann"})
	write(p.a)
	if n := p.a.Text("SELECT count(*)::text FROM orders"); n != strconv.Itoa(rows) {
		t.Errorf("%s rows, want %d", n, rows)
	}
	comes(t, "the other one follows", func() bool {
		m := p.member("b").Keeper
		return m.Healthy && m.Role == "standby" && !m.Writable && m.LagBytes == 0
	})
}
