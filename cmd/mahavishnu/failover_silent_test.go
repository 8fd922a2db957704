package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/terminal"
)

// Of a member whose keeper is silent it is not known what it is now, though it answers.
func TestAMemberOfASilentKeeperIsUnknown(t *testing.T) {
	member := messages.MemberStatus{
		Member: "a", Node: "n1", Keeper: &messages.MemberState{Role: "primary", Writable: true, Holds: true}, KeeperSilentMillis: 12_000,
		Seen: messages.Seen{State: "up", Verdict: "up"},
	}
	r := failoverReport{Leader: "n2", Coordinators: []messages.CoordinatorStatus{{
		Node: "n2", Stretch: 1, Epoch: 3, Quorum: messages.QuorumStatus{Have: true},
		Services: []messages.ServiceStatus{{Service: "orders", Members: []messages.MemberStatus{member}}},
	}}}
	r.complain()
	var out bytes.Buffer
	r.print(&env{term: terminal.New(&out, &out, terminal.Options{}), clock: clock.System()})
	for _, want := range []string{"was primary; keeper silent for 12 s", "unknown", "orders/a answers, and its keeper is silent for 12 s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

// What plans changed about regions is shown also when no coordinator answers, and sources
// of a region that is paused have no next backup.
func TestAPausedRegionIsShown(t *testing.T) {
	paused := messages.RegionRecord{Region: "eu", Paused: &messages.RegionChange{Execution: "region_failure-x"}}
	now := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	cfg := &config.Config{}
	cfg.Sources = map[string]config.Source{"home": {Region: "eu"}, "away": {Region: "us"}}
	s := &statusReport{Sources: []sourceStatus{
		{Source: "away", State: "ok", Snapshots: 1, Time: now, Next: now.Add(time.Hour)},
		{Source: "home", State: "LATE", Snapshots: 1, Time: now, Next: now.Add(time.Hour)},
	}}
	s.pause(cfg, []messages.RegionRecord{paused, {Region: "us"}})
	s.judge()
	if !s.Sources[1].Next.IsZero() || s.Sources[0].Next.IsZero() || s.Sources[0].Paused != "" {
		t.Errorf("%+v", s.Sources)
	}
	var out bytes.Buffer
	e := &env{term: terminal.New(&out, &out, terminal.Options{}), clock: clock.System()}
	s.print(e)
	failoverReport{Regions: []messages.RegionRecord{paused}}.print(e)
	for _, want := range []string{
		"paused by region_failure-x", "which is late: no jobs are made for its region; see: mahavishnu failover journal region_failure-x",
		"region eu: no jobs are made for it (region_failure-x)",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

// What a keeper cannot do with its member, or the member does not tell, is said in a
// sentence with what a person can do, and counts for monitoring.
func TestWhatIsWrongWithAMemberIsSaid(t *testing.T) {
	const wrong = "its answer about its health cannot be used: position is a number, and has to be a string"
	for name, c := range map[string]struct {
		keeper messages.MemberState
		silent int64
		holder string // of the lease
		role   string
		want   string
	}{
		"a standby": {keeper: messages.MemberState{Role: "standby", State: "following"}, role: "standby"},
		"an unusable answer": {
			keeper: messages.MemberState{Role: "unknown", State: "following", Trouble: wrong, Remedy: "mend what it answers"},
			role:   "unknown", want: "web/b: " + wrong + "; mend what it answers",
		},
		"no role, and no trouble": {
			keeper: messages.MemberState{Role: "unknown", State: "down", Detail: "down: it says nothing"},
			role:   "unknown", want: "web/b: it does not tell its role, so nobody can promote it: down: it says nothing",
		},
		"no role yet": {keeper: messages.MemberState{Role: "unknown", State: "starting"}, role: "unknown"},
		"it could not be stopped": {
			keeper: messages.MemberState{Role: "fenced", State: "fencing", Trouble: "it could not be stopped", Remedy: "mahavishnu failover confirm-stopped web b --reason WHY"},
			role:   "fencing", want: "web/b: it could not be stopped; mahavishnu failover confirm-stopped web b --reason WHY",
		},
		"it was stopped": {keeper: messages.MemberState{Role: "fenced", State: "fenced"}, role: "fenced"},
		"what was said long ago": {
			keeper: messages.MemberState{Role: "unknown", State: "down", Trouble: wrong}, silent: 20_000,
			role: "was unknown; keeper silent for 20 s", want: "web/b answers, and its keeper is silent for 20 s: whether it takes writes is not known",
		},
		"it was the primary, and another is": {
			keeper: messages.MemberState{Role: "primary", State: "leading", Holds: true, Writable: true}, silent: 20_000, holder: "a",
			role: "was primary; keeper silent for 20 s", want: "web/b answers, and its keeper is silent for 20 s: it was stopped, for it does not hold the lease; start its keeper: mahavishnu coordinator on node n1",
		},
		"it is the primary, as far as is known": {
			keeper: messages.MemberState{Role: "primary", State: "leading", Holds: true, Writable: true}, silent: 20_000, holder: "b",
			role: "was primary; keeper silent for 20 s  unknown", want: "web/b answers, and its keeper is silent for 20 s: whether it takes writes is not known",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := failoverReport{Leader: "n2", Coordinators: []messages.CoordinatorStatus{{
				Node: "n2", Stretch: 1, Epoch: 3, Quorum: messages.QuorumStatus{Have: true},
				Services: []messages.ServiceStatus{{Service: "web", Members: []messages.MemberStatus{
					{Member: "b", Node: "n1", Keeper: &c.keeper, KeeperSilentMillis: c.silent, Seen: messages.Seen{State: "up", Verdict: "up"}},
				}}},
			}}}
			if c.holder != "" {
				r.Leases = []leaseStatus{{Lease: messages.ServiceLease("web"), State: leaseHeld, Holder: c.holder}}
			}
			r.complain()
			if got := strings.Join(r.Troubles, "\n"); got != c.want {
				t.Errorf("it says %q, want %q", got, c.want)
			}
			var out bytes.Buffer
			r.print(&env{term: terminal.New(&out, &out, terminal.Options{}), clock: clock.System()})
			if !strings.Contains(out.String(), " "+c.role+" ") {
				t.Errorf("it does not show the role %q:\n%s", c.role, out.String())
			}
		})
	}
}
