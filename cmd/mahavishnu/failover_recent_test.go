package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

// What waits for a person is a trouble with the command that helps; what a plan told is
// shown; what is done is no trouble.
func TestTheStatusSaysWhatIsWanted(t *testing.T) {
	steps := []plan.Step{{Name: "ask", Kind: plan.KindApprove}, {Name: "tell", Kind: plan.KindAction, Uses: "notify"}}
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	execution := func(id string, state plan.State, entries ...plan.Entry) *plan.Execution {
		return &plan.Execution{ID: id, Plan: plan.Plan{Name: "p", Steps: steps}, State: state, Created: at, Entries: entries}
	}
	asks := execution("asks-1", plan.StateExecuting, plan.Entry{Step: "ask", Attempt: 1})
	done := execution("done-1", plan.StateCommitted, plan.Entry{Step: "tell", Attempt: 1, Outcome: plan.OutcomeDone, Output: "it moved"})
	stopped := execution("stopped-1", plan.StateStopped)
	stopped.Error = "step x: its disk is full"
	byHand := execution("hand-1", plan.StateStopped)
	byHand.Error, byHand.Trigger, byHand.Things = "step x: it cannot follow itself", plan.ByHand, []string{"service/web"}
	overdue := execution("overdue-1", plan.StateFailedOver)
	overdue.Overdue = "step x: its keeper is silent"
	r := failoverReport{Coordinators: []messages.CoordinatorStatus{{Node: "a", Stretch: 1, Epoch: 3, Quorum: messages.QuorumStatus{Have: true}, Troubles: []string{"its files are bad"}}}, Leader: "a"}
	for _, x := range []*plan.Execution{asks, done, stopped, byHand, overdue} {
		r.Executions = append(r.Executions, recentOf(x))
	}
	r.complain()
	want := []string{
		"coordinator a: its files are bad",
		"asks-1 waits to be approved: mahavishnu failover approve asks-1 --key-file FILE",
		"stopped-1 stopped: step x: its disk is full; look, then decide: mahavishnu failover journal stopped-1",
		"hand-1 stopped: step x: it cannot follow itself; look, then decide: mahavishnu failover journal hand-1; until then nothing fails over by itself on service/web; " +
			"to let go of it: mahavishnu failover rollback hand-1, or as it stands: mahavishnu failover commit hand-1",
		"overdue-1 is not taken back although its window has ended: step x: its keeper is silent; mend that, and it is taken back by itself; " +
			"or keep it: mahavishnu failover commit overdue-1; or take back what can be: mahavishnu failover rollback overdue-1 --force",
	}
	if !slices.Equal(r.Troubles, want) {
		t.Errorf("troubles are\n%s\nwant\n%s", strings.Join(r.Troubles, "\n"), strings.Join(want, "\n"))
	}
	if told := r.Executions[1].Told; !slices.Equal(told, []string{"it moved"}) {
		t.Errorf("told was %q", told)
	}
}
