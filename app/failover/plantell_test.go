package failover

import (
	"testing"

	"mahavishnu/coordinator"
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
