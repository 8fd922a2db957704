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
