package failover

import (
	"strings"
	"testing"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
)

// A member that could not be stopped is not called stopped, and whoever reads of it is told what to do.
func TestAMemberThatCouldNotBeStoppedIsNotCalledFenced(t *testing.T) {
	t.Parallel()
	s := keeper.Status{Service: "web", Member: "a", State: keeper.Fencing, Holds: true, Reason: "by order", Trouble: "it could not be stopped: it hangs"}
	m := memberState(s)
	if m.Role != "fencing" || m.Healthy || m.Trouble != s.Trouble || !strings.Contains(m.Remedy, "mahavishnu failover confirm-stopped web a") {
		t.Errorf("%+v", m)
	}
	if m.Detail != "fencing: by order: it could not be stopped: it hangs" {
		t.Error(m.Detail)
	}
	s.State, s.Trouble = keeper.Fenced, ""
	if m := memberState(s); m.Role != "fenced" || m.Trouble != "" || m.Remedy != "" {
		t.Errorf("%+v", m)
	}
}

// What is wrong with what a member says of itself is trouble, and not a reason to hold it for
// dead; what is wrong with it is told once.
func TestWhatIsTheMatterWithAMember(t *testing.T) {
	t.Parallel()
	const wrong = "its answer about its health is empty, and has to tell its role"
	m := memberState(keeper.Status{State: keeper.Down, Health: standby.Health{Running: true, Role: standby.Unknown, Wrong: wrong}})
	if !m.Healthy || m.Trouble != wrong || m.Detail != "down: "+wrong {
		t.Errorf("%+v", m)
	}
	m = memberState(keeper.Status{State: keeper.Following, Health: standby.Health{Running: true, Role: standby.Standby}, Lacks: "fence is not there"})
	if !m.Healthy || m.Trouble != "fence is not there" {
		t.Errorf("%+v", m)
	}
	const look = "look at the service web: connection refused"
	m = memberState(keeper.Status{State: keeper.Fenced, Reason: "it has not answered for 2s: " + look, Health: standby.Health{Detail: "refused"}, Trouble: look})
	if strings.Count(m.Detail, "refused") != 1 || m.Trouble != look {
		t.Errorf("%+v", m)
	}
}
