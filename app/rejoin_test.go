package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/postgres/pgtest"
)

// The primary of a real trio dies. Nobody does anything: another member takes over, and
// both others follow it, the one that was the primary and the one that followed it.
func TestEverybodyFollowsTheNewPrimary(t *testing.T) {
	p := newGroup(t, true)
	defer p.explain()
	comes(t, "the primary is kept and both standbys are seen", func() bool {
		b, c := p.member("b").Keeper, p.member("c").Keeper
		return p.member("a").Keeper.Holds && b.Healthy && b.Role == "standby" && c.Healthy && c.Role == "standby"
	})
	comes(t, "the primary takes writes", func() bool { return p.a.Try("CREATE TABLE IF NOT EXISTS orders (n int)") == nil })
	comes(t, "the standbys have them", func() bool {
		return p.b.Try("SELECT n FROM orders") == nil && p.c.Try("SELECT n FROM orders") == nil
	})
	p.a.Kill()
	var heir, other *pgtest.Member
	comes(t, "a standby takes writes", func() bool {
		for _, pair := range [][2]*pgtest.Member{{p.b, p.c}, {p.c, p.b}} {
			if pair[0].Try("INSERT INTO orders VALUES (1)") == nil {
				heir, other = pair[0], pair[1]
				return true
			}
		}
		return false
	})
	began := time.Now()
	follows := func(m *pgtest.Member, name string) {
		comes(t, name+" follows", func() bool {
			k := p.member(name).Keeper
			return k.Healthy && k.Role == "standby" && k.State == string(keeper.Following) && k.LagBytes >= 0
		})
		comes(t, name+" has what was written meanwhile", func() bool {
			return m.Try("SELECT 1 / count(*) FROM orders") == nil
		})
	}
	follows(other, other.Options.Name)
	follows(p.a, "a")
	t.Logf("all follow %v after the new primary took a write", time.Since(began).Round(time.Millisecond))

	comes(t, "a person could order it, too, and name nobody", func() bool {
		e := p.try(t, rejoinMember)
		return e.Broken() == "" && e.Params["primary"] == heir.Options.Name && e.Params["member"] != "" && e.Params["member"] != heir.Options.Name
	})
	x := p.apps["us-1"].coordinatorPlans(t)
	var rejoined []string
	comes(t, "the plans are finished", func() bool {
		all, err := x.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rejoined = nil
		for _, e := range all {
			if !e.State.Final() {
				return false
			}
			if e.Plan.Name == rejoinMember && e.State == plan.StateCommitted && e.Params["primary"] == heir.Options.Name {
				rejoined = append(rejoined, e.Params["member"])
				if told := e.Told(); len(told) != 1 || !strings.Contains(told[0], "follows "+heir.Options.Name+" again") {
					t.Errorf("it tells people %q", told)
				}
			}
		}
		return len(rejoined) >= 2
	})
	slices.Sort(rejoined)
	if want := []string{"a", other.Options.Name}; !slices.Equal(rejoined, want) {
		t.Errorf("made to follow were %v, want each of %v once", rejoined, want)
	}
	notices := 0
	err := p.apps["us-1"].Bus().ReadEvents(t.Context(), bus.EventFilter{Kind: messages.EventPlan, Outcome: messages.OutcomeNotice}, func(bus.EventMessage) error {
		notices++
		return nil
	})
	if err != nil || notices != 3 {
		t.Errorf("%d notices are kept as events, want 3: %v", notices, err)
	}
}

// explain shows what happened when the test has failed.
func (p *pair) explain() {
	if !p.Failed() {
		return
	}
	for _, name := range []string{"a", "b", "c"} {
		m := p.member(name)
		p.Logf("%s is %s: %+v", name, m.Verdict, *m.Keeper)
	}
	all, err := p.apps["us-1"].coordinatorPlans(p.T).List(p.Context())
	if err != nil {
		p.Log(err)
	}
	for _, e := range all {
		p.Logf("%s %s %v: %s", e.ID, e.State, e.Params, e.Error)
		for _, entry := range e.Entries {
			p.Logf("  %s %-18s %-8s %6v %s%s", entry.Started.Format("15:04:05.000"), entry.Step, entry.Outcome, entry.Finished.Sub(entry.Started).Round(time.Millisecond), entry.Output, entry.Error)
		}
	}
}

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
