package failover

import (
	"fmt"
	"testing"

	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/messages"
)

// Who follows nobody, and may be told to without asking anybody.
func TestAstray(t *testing.T) {
	record := keeper.Record{Primary: "p", Epoch: 20}
	state := func(s keeper.State, tenure uint64, change ...func(*messages.MemberState)) *messages.MemberState {
		k := &messages.MemberState{State: string(s), Tenure: tenure}
		for _, c := range change {
			c(k)
		}
		return k
	}
	alone := func(k *messages.MemberState) { k.LagBytes = -1 }
	for name, c := range map[string]struct {
		member string
		keeper *messages.MemberState
		want   bool
	}{
		"never heard":                             {"a", nil, false},
		"fenced, and another took over":           {"a", state(keeper.Fenced, 10), true},
		"down, and another took over":             {"a", state(keeper.Down, 10), true},
		"being fenced":                            {"a", state(keeper.Fencing, 10), false},
		"made to follow already":                  {"a", state(keeper.Rejoining, 10), false},
		"fenced, and nobody took over":            {"a", state(keeper.Fenced, 20), false},
		"the primary, which comes back":           {"p", state(keeper.Fenced, 10), false},
		"down, and never a member":                {"a", state(keeper.Down, 0), false},
		"following":                               {"a", state(keeper.Following, 10), false},
		"following one that is gone":              {"a", state(keeper.Following, 0, alone), true},
		"following, and the line is cut":          {"a", state(keeper.Following, 20, alone), false},
		"takes writes":                            {"a", state(keeper.Fenced, 10, func(k *messages.MemberState) { k.Writable = true }), false},
		"holds the lease":                         {"a", state(keeper.Down, 10, func(k *messages.MemberState) { k.Holds = true }), false},
		"waits for the lease":                     {"a", state(keeper.Waiting, 10, alone), false},
		"leads with a tenure that the record has": {"a", state(keeper.Leading, 10), false},
	} {
		if got := astray(messages.MemberStatus{Member: c.member, Keeper: c.keeper}, record); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	members := func(keepers ...*messages.MemberState) (s messages.ServiceStatus) {
		for i, k := range keepers {
			s.Members = append(s.Members, messages.MemberStatus{Member: fmt.Sprintf("m%d", i), Keeper: k})
		}
		return s
	}
	record.Primary = "m0"
	for want, s := range map[string]messages.ServiceStatus{
		"m2": members(state(keeper.Leading, 20), state(keeper.Following, 20), state(keeper.Fenced, 10)),
		"m1": members(state(keeper.Leading, 20), state(keeper.Following, 20), state(keeper.Following, 20)),
		"":   members(state(keeper.Leading, 20)),
	} {
		if got := stray(s, record); got != want {
			t.Errorf("%q is meant, want %q", got, want)
		}
	}
}

// A primary is followed only while it is the one that the record speaks of.
func TestReigns(t *testing.T) {
	record := keeper.Record{Primary: "p", Epoch: 20}
	for name, c := range map[string]struct {
		change func(*messages.MemberStatus)
		want   bool
	}{
		"it does":                {func(*messages.MemberStatus) {}, true},
		"doubted":                {func(m *messages.MemberStatus) { m.Verdict = "suspect" }, false},
		"never heard":            {func(m *messages.MemberStatus) { m.Keeper = nil }, false},
		"without the lease":      {func(m *messages.MemberStatus) { m.Keeper.Holds = false }, false},
		"not promoted yet":       {func(m *messages.MemberStatus) { m.Keeper.Writable = false }, false},
		"of a tenure that ended": {func(m *messages.MemberStatus) { m.Keeper.Tenure = 19 }, false},
	} {
		m := &messages.MemberStatus{Member: "p", Keeper: &messages.MemberState{Holds: true, Writable: true, Tenure: 20}}
		m.Verdict = "up"
		c.change(m)
		if got := reigns(m, record); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A service whose process is gone is made to follow when it is back, and not worn out with orders
// before. What programs control they may start themselves.
func TestAMemberThatIsGoneIsNotOrderedToFollow(t *testing.T) {
	for kind, want := range map[string]bool{config.ServiceHTTP: true, config.ServiceCommand: false, config.ServicePostgres: false} {
		m := messages.MemberStatus{Keeper: &messages.MemberState{Untold: true}}
		if got := deaf(m, kind); got != want {
			t.Errorf("%s: %v", kind, got)
		}
		m.Keeper.Untold = false
		if deaf(m, kind) {
			t.Errorf("%s, which is there", kind)
		}
	}
}
