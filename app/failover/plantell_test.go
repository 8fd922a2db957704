package failover

import (
	"testing"

	"mahavishnu/coordinator"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

// What plans depend on is whom the coordinator hears, and how they are; not how long ago.
func TestPlansDependOnWhoIsHeard(t *testing.T) {
	at := func(change func(*coordinator.Situation, *messages.MemberStatus)) string {
		m := messages.MemberStatus{Member: "a", Keeper: &messages.MemberState{Role: "standby"}}
		m.Verdict = "up"
		s := coordinator.Situation{Epoch: 5}
		change(&s, &m)
		s.Status.Services = []messages.ServiceStatus{{Service: "db", Members: []messages.MemberStatus{m}}}
		return plansDependOn(s)
	}
	same := at(func(*coordinator.Situation, *messages.MemberStatus) {})
	if at(func(_ *coordinator.Situation, m *messages.MemberStatus) { m.SilentMillis = 7; m.Keeper.LagBytes = 9 }) != same {
		t.Error("time alone is a change")
	}
	for name, change := range map[string]func(*coordinator.Situation, *messages.MemberStatus){
		"another leadership": func(s *coordinator.Situation, _ *messages.MemberStatus) { s.Epoch++ },
		"a majority":         func(s *coordinator.Situation, _ *messages.MemberStatus) { s.Status.Quorum.Have = true },
		"a verdict":          func(_ *coordinator.Situation, m *messages.MemberStatus) { m.Verdict = "down" },
		"a silent keeper":    func(_ *coordinator.Situation, m *messages.MemberStatus) { m.Keeper = nil },
		"another primary":    func(_ *coordinator.Situation, m *messages.MemberStatus) { m.Keeper.Holds = true },
	} {
		if at(change) == same {
			t.Errorf("%s is no change", name)
		}
	}
}

// The member that begins is, where nobody says which, the standby that has most, until
// one did; afterwards no plan begins anew.
func TestWhoBegins(t *testing.T) {
	p, _ := planned(t)
	members := p.eyes.(*sight).members
	for i, lag := range []int64{5, 3} {
		members[i].Keeper = &messages.MemberState{Healthy: true, Role: "standby", LagBytes: lag}
	}
	p.eyes.(*sight).see(node("eu-1", "up"), node("us-1", "up"))
	plans, err := plan.Shipped(plan.Standard())
	if err != nil {
		t.Fatal(err)
	}
	begins := func(given map[string]string) string {
		t.Helper()
		found, err := p.resolve(t.Context(), plans["first_primary"], given)
		if err != nil {
			t.Fatal(err)
		}
		return found["member"]
	}
	call := plan.Call{Params: map[string]string{"service": "orders"}}
	if got := begins(map[string]string{}); got != "b" {
		t.Errorf("%q begins, which has less", got)
	}
	if got := begins(map[string]string{"member": "a"}); got != "" {
		t.Errorf("a was named, and %s is to begin", got)
	}
	if ok, _, err := p.noPrimaryYet(t.Context(), call); err != nil || !ok {
		t.Errorf("nobody was the primary: %v %v", ok, err)
	}
	recorded(t, p, keeper.Record{Primary: "a", Epoch: 20})
	if ok, seen, err := p.noPrimaryYet(t.Context(), call); err != nil || ok {
		t.Errorf("a was the primary: %s %v", seen, err)
	}
}
