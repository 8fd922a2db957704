package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

// A service whose writes nobody takes is told of in a sentence that says what to type,
// unless that is explained otherwise: by a plan at work, or by a keeper that is silent.
func TestAServiceThatNobodyServesIsTold(t *testing.T) {
	standby := messages.MemberState{Role: "standby", State: "following", Healthy: true}
	fenced := messages.MemberState{Role: "fencing", State: "fencing", Holds: true, Detail: "fencing: it could not be stopped", Remedy: "stop it, then say so"}
	serves := messages.MemberState{Role: "primary", State: "leading", Holds: true, Writable: true}
	had := keeper.Record{Primary: "a", Epoch: 534}
	sight := func(holder string, lapsed bool) *bus.Sight {
		return &bus.Sight{LeaseValue: messages.LeaseValue{Holder: holder, Epoch: 534}, Age: 110 * time.Second, Lapsed: lapsed}
	}
	execution := func(state plan.State, wants, thing string) []recentExecution {
		return []recentExecution{{Execution: "x-1", State: state, Wants: wants, things: []string{thing}}}
	}
	for name, c := range map[string]struct {
		keepers    []*messages.MemberState // of a and b
		silent     int64                   // a's keeper
		lease      *bus.Sight
		record     keeper.Record
		unread     bool
		leaderless bool
		executions []recentExecution
		want       string // "" is nothing
	}{
		"a new service": {
			keepers: []*messages.MemberState{&standby, &standby},
			want:    "web: nobody has taken writes for 2 min 00 s: nobody ever held its lease; it never had a primary; give it one: mahavishnu failover execute first_primary --set service=web",
		},
		"a new service without keepers": {
			keepers: []*messages.MemberState{nil, nil},
			want:    "nobody ever held its lease; no keeper of its members is heard; on their nodes: mahavishnu coordinator",
		},
		"its primary is gone": {
			keepers: []*messages.MemberState{&serves, &standby}, silent: 111_000, lease: sight("a", true), record: had,
			want: "a held the lease last, epoch 534, and renewed it 1 min 50 s ago; let another take over: mahavishnu failover execute single_server_failure --set service=web --set from=a",
		},
		"nobody leads": {
			keepers: []*messages.MemberState{&serves, &standby}, silent: 111_000, lease: sight("a", true), record: had, leaderless: true,
			want: "renewed it 1 min 50 s ago; without a coordinator that leads nobody takes over",
		},
		"its primary gave the lease back": {
			keepers: []*messages.MemberState{&standby, &standby}, lease: sight("", false), record: had,
			want: "a was its last primary; the lease was given back 1 min 50 s ago; let another take over: ",
		},
		"the holder takes none": {
			keepers: []*messages.MemberState{&fenced, &standby}, lease: sight("a", false), record: had,
			executions: execution(plan.StateStopped, "stopped", "service/web"),
			want:       "a holds the lease and takes none: fencing: it could not be stopped; stop it, then say so",
		},
		"the holder is not heard": {keepers: []*messages.MemberState{&serves, &standby}, silent: 111_000, lease: sight("a", false), record: had},
		"a plan is at work": {
			keepers: []*messages.MemberState{&standby, &standby}, lease: sight("a", true), record: had,
			executions: execution(plan.StateExecuting, "", "service/web"),
		},
		"a plan is at work on a region": {
			keepers: []*messages.MemberState{&standby, &standby}, lease: sight("a", true), record: had,
			executions: execution(plan.StateExecuting, "", "region/eu"),
		},
		"its plan has stopped": {
			keepers: []*messages.MemberState{&standby, &standby}, lease: sight("a", true), record: had,
			executions: execution(plan.StateStopped, "stopped", "service/web"),
			want:       "renewed it 1 min 50 s ago; see what its plan waits for: mahavishnu failover journal x-1",
		},
		"another's plan": {
			keepers: []*messages.MemberState{&standby, &standby}, lease: sight("a", true), record: had,
			executions: append(execution(plan.StateExecuting, "", "service/db"), execution(plan.StateStopped, "stopped", "region/eu")...),
			want:       "let another take over",
		},
		"its plan has ended": {
			keepers: []*messages.MemberState{&standby, &standby}, lease: sight("a", true), record: had,
			executions: execution(plan.StateCommitted, "", "service/web"),
			want:       "let another take over",
		},
		"cut off, nobody serves": {
			keepers: []*messages.MemberState{&standby, &standby}, unread: true,
			want: "who held the lease last cannot be read here; where the queue can be reached: mahavishnu failover status",
		},
		"cut off, the last holder is silent": {keepers: []*messages.MemberState{&serves, &standby}, silent: 111_000, unread: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := messages.ServiceStatus{Service: "web", UnservedMillis: 120_000, Members: []messages.MemberStatus{
				{Member: "a", Keeper: c.keepers[0], KeeperSilentMillis: c.silent}, {Member: "b", Keeper: c.keepers[1]},
			}}
			r := failoverReport{Executions: c.executions, Leader: "n", Coordinators: []messages.CoordinatorStatus{{Node: "n", Quorum: messages.QuorumStatus{Have: true}}}}
			if c.leaderless {
				r.Leader = ""
			}
			if c.lease != nil {
				r.Leases = []leaseStatus{leaseOf(messages.ServiceLease("web"), *c.lease)}
			}
			u, told := r.unserved(s, c.record, !c.unread)
			if told != (c.want != "") || told && !strings.Contains(u.String(), c.want) {
				t.Errorf("%v, %s\nwant %s", told, u, c.want)
			}
		})
	}
}

// A start and a failover are no alarm, nor is a service that nobody here is to serve.
func TestWhenAServiceCountsAsUnserved(t *testing.T) {
	cfg := &config.Config{Failover: config.Failover{
		Lease: config.Lease{Duration: config.Duration(3 * time.Second)}, Services: map[string]config.FailoverService{"web": {}},
	}}
	for _, c := range []struct {
		service string
		millis  int64
		told    bool
	}{{"web", 0, false}, {"web", 16_000, false}, {"web", 16_001, true}, {config.HotStandbyService, 60_000, false}} {
		r := failoverReport{Coordinators: []messages.CoordinatorStatus{{
			Node: "n", Stretch: 1, Epoch: 1, Quorum: messages.QuorumStatus{Have: true},
			Services: []messages.ServiceStatus{{Service: c.service, UnservedMillis: c.millis, Members: []messages.MemberStatus{{Member: "a", Seen: messages.Seen{Verdict: "up"}}}}},
		}}, Leader: "n"}
		if err := r.findUnserved(t.Context(), nil, cfg); err != nil {
			t.Fatal(err)
		}
		r.complain()
		if (len(r.Troubles) > 0) != c.told {
			t.Errorf("%+v: %q", c, r.Troubles)
		}
	}
}

// Whoever reads the table of leases must not take the last holder for the holder.
func TestALeaseThatLapsedIsNobodys(t *testing.T) {
	var out bytes.Buffer
	var r failoverReport // no coordinator answers: they are in the queue all the same
	for name, s := range map[string]bus.Sight{
		"service-lapsed":   {LeaseValue: messages.LeaseValue{Holder: "a", Epoch: 534}, Age: 110 * time.Second, Lapsed: true},
		"service-released": {LeaseValue: messages.LeaseValue{Epoch: 535}, Age: 12 * time.Second},
		"service-held":     {LeaseValue: messages.LeaseValue{Holder: "c", Epoch: 536}, Age: time.Second},
	} {
		r.Leases = append(r.Leases, leaseOf(name, s))
	}
	r.print(&env{term: terminal.New(&out, &out, terminal.Options{}), clock: clock.System()})
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"service-lapsed nobody; last a, renewed 1 min 50 s ago 534", "service-released nobody; given back 12 s ago 535", "service-held c 536"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}
