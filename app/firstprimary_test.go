package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mahavishnu/coordinator/plan"
	"mahavishnu/coordinator/standby/standbytest"
	"mahavishnu/messages"
)

// A new service of which no member takes writes by itself gets its first primary when a
// person names one, the others follow it, and nobody is made the first one twice.
func TestAServiceGetsItsFirstPrimary(t *testing.T) {
	group := standbytest.NewGroup()
	members := map[string]*standbytest.Service{}
	for _, name := range []string{"a", "b"} {
		members[name] = group.Member(t, name)
		members[name].Crash() // so that it was never the primary
		members[name].Restart()
	}
	cfg := pairConfig(t, "eu-1", "", fmt.Sprintf(`
failover:
  heartbeat: 100ms
  coordinators: [{node: eu-1, region: eu}]
  services:
    orders:
      kind: http
      members:
        a: {node: eu-1, region: eu, address: %q}
        b: {node: eu-1, region: eu, address: %q}
`, members["a"].URL(), members["b"].URL()))
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true, Coordinator: true}})
	p := &pair{T: t, apps: map[string]*App{"us-1": a}}
	comes(t, "both members are seen, and nobody leads", func() bool {
		s := coordinatorOf(t, a)
		return s.Epoch > 0 && len(s.Services) == 1 && !slices.ContainsFunc(s.Services[0].Members, func(m messages.MemberStatus) bool {
			return m.Keeper == nil || m.Keeper.Role != "standby" || m.Keeper.Holds
		})
	})
	for name, given := range map[string]map[string]string{
		"single_server_failure": {"to": "b"}, "rejoin_member": {"member": "b"}, "failback_service": nil,
	} {
		const first = "mahavishnu failover execute first_primary --set service=orders"
		reply := p.ask(t, plan.Request{Ask: plan.AskExecute, Plan: name, Params: given, By: "ann"})
		if name == "failback_service" { // is never ordered by itself, and looked at all the same
			reply = p.ask(t, plan.Request{Ask: plan.AskTry, Plan: name, By: "ann"})
			if e := reply.Evaluation; e == nil || e.Later != "not yet: orders has had no primary: "+first {
				t.Errorf("%s: %+v", name, reply)
			}
			continue
		}
		if !strings.Contains(reply.Error, "orders has had no primary") || !slices.Contains(reply.Hints, first) {
			t.Errorf("%s: %q, hints %q", name, reply.Error, reply.Hints)
		}
	}
	order := plan.Request{Ask: plan.AskExecute, Plan: "first_primary", Params: map[string]string{"member": "b"}, By: "ann"}
	p.carriedOut(t, order)
	if err := members["b"].Write(); err != nil {
		t.Error(err)
	}
	comes(t, "the other one follows", func() bool { return members["a"].Has() == 1 })
	itself := p.ask(t, plan.Request{Ask: plan.AskExecute, Plan: "single_server_failure", Variant: plan.Graceful, Params: map[string]string{"to": "b"}, By: "ann"})
	if err := itself.Err(); !errors.Is(err, plan.ErrRefused) || !strings.Contains(err.Error(), "b takes the writes already") || !slices.Equal(itself.Hints, []string{"name another member: a"}) {
		t.Errorf("it takes over from itself: %v, hints %q", err, itself.Hints)
	}
	if err := members["b"].Write(); err != nil {
		t.Error(err)
	}
	order.Params = map[string]string{"member": "a"}
	var refused plan.Execution
	begun := p.ask(t, order)
	if begun.Execution == nil {
		t.Fatal(begun.Err())
	}
	comes(t, "it is over", func() bool {
		var err error
		if refused, err = a.coordinatorPlans(t).Find(t.Context(), begun.Execution.ID); err != nil {
			t.Fatal(err)
		}
		return refused.State.Final()
	})
	if refused.State == plan.StateCommitted || !strings.Contains(refused.Error, "b was, in tenure") {
		t.Errorf("it is %s: %s", refused.State, refused.Error)
	}
	if members["a"].Write() == nil {
		t.Error("two members take writes")
	}
}
