package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/app/failover"
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
		e := p.try(t, failover.RejoinMember)
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
			if e.Plan.Name == failover.RejoinMember && e.State == plan.StateCommitted && e.Params["primary"] == heir.Options.Name {
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
