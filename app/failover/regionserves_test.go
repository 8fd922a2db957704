package failover

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// sight is a coordinator that sees one service.
type sight struct {
	nodes
	members []messages.MemberStatus
}

func (s *sight) Status() messages.CoordinatorStatus {
	status := s.nodes.Status()
	status.Services = []messages.ServiceStatus{{Service: "orders", Members: s.members}}
	return status
}

// queue is a queue of the test's own.
func queue(t *testing.T) *bus.Bus {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{URL: natstest.Start(t).ClientURL(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) //nolint:errcheck // the server goes away as well
	if err := bus.Provision(t.Context(), conn, bus.ProvisionOptions{Regions: []string{"eu", "us"}}); err != nil {
		t.Fatal(err)
	}
	b, err := bus.Bind(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// planned are plans about a service of a member in eu and one in us, and the bus on which
// their keepers answer.
func planned(t *testing.T) (*Planner, *bus.Bus) {
	t.Helper()
	b := queue(t)
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{}
	cfg.Failover.Services = map[string]config.FailoverService{"orders": {Members: map[string]config.FailoverMember{
		"a": {Node: "eu-1", Region: "eu"}, "b": {Node: "us-1", Region: "us"},
	}}}
	s := &sight{members: []messages.MemberStatus{
		{Member: "a", Node: "eu-1", Region: "eu", Keeper: &messages.MemberState{Role: "fenced"}},
		// What was heard last is from before it was stopped.
		{Member: "b", Node: "us-1", Region: "us", Keeper: &messages.MemberState{Role: "primary", Holds: true, Writable: true}},
	}}
	s.see(messages.NodeStatus{Node: "us-1", Region: "us", Seen: messages.Seen{State: "up"}})
	return &Planner{
		cfg: cfg, bus: b, records: keeper.BusRecords(store), regions: regionRecords{store, clock.System()},
		leases: newLeaseViews(store, messages.TimingFor(time.Second), clock.System()), clock: clock.System(), eyes: s,
	}, b
}

// answering is a keeper of which only the answers are seen.
type answering struct {
	mu    sync.Mutex
	state messages.MemberState
	asked []messages.Verb
}

func (a *answering) obey(_ context.Context, c messages.MemberCommand) messages.MemberReply {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, c.Verb)
	switch c.Verb {
	case messages.VerbPromote:
		a.state.Holds, a.state.Writable = true, true
	case messages.VerbDemote:
		a.state.Holds, a.state.Writable = false, false
	}
	return messages.MemberReply{OK: true, State: a.state}
}

func (a *answering) was(holds, writable bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Holds, a.state.Writable = holds, writable
}

// serve has a keeper of a member of the service answer until the test ends.
func (a *answering) serve(t *testing.T, b *bus.Bus) {
	t.Helper()
	stop, err := b.ServeMember(t.Context(), "orders", a.state.Member, a.obey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

// recorded writes what the members of the service agree on.
func recorded(t *testing.T, p *Planner, r keeper.Record) {
	t.Helper()
	_, revision, err := p.records.Load(t.Context(), messages.ServiceLease("orders"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.records.Save(t.Context(), messages.ServiceLease("orders"), data, revision); err != nil {
		t.Fatal(err)
	}
}

// A service has moved, or come back, once its new primary's own keeper says that it holds
// the lease and takes writes: not when the record names it, nor by what was heard before.
func TestAServiceHasMovedWhenItIsServed(t *testing.T) {
	p, b := planned(t)
	c := plan.Call{Epoch: 7, Execution: "x", Node: "n", Params: map[string]string{"from": "eu", "to": "us"}}
	tenure := func(primary string, epoch uint64) {
		t.Helper()
		recorded(t, p, keeper.Record{Primary: primary, Epoch: epoch})
	}
	done := func(what string, asks func(context.Context, plan.Call) (bool, error), want bool) {
		t.Helper()
		if ok, err := asks(t.Context(), c); err != nil || ok != want {
			t.Errorf("%s: done is %v, want %v (%v)", what, ok, want, err)
		}
	}
	tenure("a", 19)
	done("nothing was moved, and nobody answers", p.servicesReturned, true)
	tenure("b", 20)
	done("nothing was moved", p.moved, true)
	done("nothing was moved", p.beganMoving, false)
	if err := p.noteMoved(t.Context(), c, move{"orders", "a", "b"}); err != nil {
		t.Fatal(err)
	}
	done("its keeper is silent", p.moved, false)
	done("its keeper is silent", p.beganMoving, true)
	keeps := &answering{state: messages.MemberState{Service: "orders", Member: "b"}}
	keeps.serve(t, b)
	done("it was fenced", p.moved, false)
	keeps.was(true, false)
	done("it takes no writes", p.moved, false)
	keeps.was(false, false)
	if text, err := p.moveServices(t.Context(), c); err != nil || !strings.Contains(text, "orders moved to b") {
		t.Errorf("it is not finished: %s %v", text, err)
	}
	done("it serves", p.moved, true)

	// The way back: a's keeper is silent, then there.
	if _, err := p.checkReturn(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the keeper of a does not answer") {
		t.Errorf("a service goes back to the dead: %v", err)
	}
	if _, err := p.ordering(messages.VerbPromote, nil).Check(t.Context(), plan.Call{Undo: true, Params: map[string]string{"service": "orders", "member": "a"}}); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("the dead is promoted: %v", err)
	}
	home := &answering{state: messages.MemberState{Service: "orders", Member: "a"}}
	home.serve(t, b)
	tenure("a", 21)
	if seen, err := p.checkReturn(t.Context(), c); err != nil || seen != "orders to a" {
		t.Errorf("%s %v", seen, err)
	}
	done("home was fenced", p.servicesReturned, false)
	p.eyes.(*sight).see(messages.NodeStatus{Node: "eu-1", Region: "eu", Seen: messages.Seen{State: "up"}})
	if text, err := p.returnServices(t.Context(), c); err != nil || text != "orders is on a" {
		t.Errorf("%s %v", text, err)
	}
	done("home serves", p.servicesReturned, true)
	home.was(false, false)
	done("what fails later is not this action's", p.servicesReturned, true)
}

// Services that moved are shown to take writes where they moved to. What had nothing to
// move, or has moved on, does not fail it.
func TestARegionServesWhatMovedThere(t *testing.T) {
	p, _ := planned(t)
	c := plan.Call{Epoch: 7, Execution: "x", Node: "n", Params: map[string]string{"from": "eu", "to": "us"}}
	orders := p.cfg.Failover.Services["orders"]
	orders.Members["c"] = config.FailoverMember{Node: "ap-1", Region: "ap"}
	s := p.eyes.(*sight)
	shows := func(what, primary string, b messages.MemberStatus, want bool, say string) {
		t.Helper()
		s.members[1] = b
		recorded(t, p, keeper.Record{Primary: primary, Epoch: 20})
		if ok, seen, err := p.regionServes(t.Context(), c); err != nil || ok != want || !strings.Contains(seen, say) {
			t.Errorf("%s: %v, want %v: %s (%v)", what, ok, want, seen, err)
		}
	}
	b := s.members[1]
	broken := func(change func(*messages.MemberStatus, *messages.MemberState)) messages.MemberStatus {
		m, k := b, *b.Keeper
		change(&m, &k)
		m.Keeper = &k
		return m
	}
	shows("nothing was moved", "a", b, true, "no service was moved")
	if err := p.noteMoved(t.Context(), c, move{"orders", "a", "b"}); err != nil {
		t.Fatal(err)
	}
	shows("it was about to move", "a", b, false, "orders: a, which was left, is still its primary")
	shows("it moved on", "c", b, true, "no service was moved")
	shows("it takes no writes", "b", broken(func(_ *messages.MemberStatus, k *messages.MemberState) { k.Writable = false }), false, "orders: b takes no writes")
	shows("it has no lease", "b", broken(func(_ *messages.MemberStatus, k *messages.MemberState) { k.Holds = false }), false, "orders: b takes no writes")
	shows("it does not answer", "b", broken(func(m *messages.MemberStatus, _ *messages.MemberState) { m.SilentMillis = 60_000 }), false, "orders: b does not answer")
	shows("it serves", "b", b, true, "orders on b")
}

// Jobs do not go back to a region of which nobody is heard.
func TestJobsDoNotGoBackToTheDead(t *testing.T) {
	eyes := &nodes{}
	cfg := &config.Config{}
	cfg.Backup.Replication.Regions = []config.RegionPair{{Primary: "eu", Secondary: "us"}}
	p := &Planner{regions: regionRecords{&memoryStore{}, clock.System()}, clock: clock.System(), eyes: eyes, cfg: cfg}
	c := plan.Call{Epoch: 7, Execution: "x", Node: "n", Params: map[string]string{"from": "eu", "to": "us"}}
	check := p.regionActions()["return_workers"].Check
	if _, err := check(t.Context(), c); err != nil {
		t.Errorf("nothing was moved: %v", err)
	}
	if _, err := p.regions.change(t.Context(), c, "eu", func(r *messages.RegionRecord, by *messages.RegionChange) {
		by.To, r.Workers = "us", by
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no worker of region eu is heard") {
		t.Errorf("the region is dead: %v", err)
	}
	eyes.see(messages.NodeStatus{Node: "eu-1", Region: "eu", Roles: []string{"worker"}, Seen: messages.Seen{State: "up"}})
	if _, err := check(t.Context(), c); err != nil {
		t.Errorf("the region is back: %v", err)
	}
}
