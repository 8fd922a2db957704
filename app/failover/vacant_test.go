package failover

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// led are plans about a service whose lease a was the last to hold. It lapses after a
// minute, a free one counts after ten seconds more, and whoever is heard an hour later.
// written says who wrote it how long ago.
func led(t *testing.T) (p *Planner, b *bus.Bus, written func(holder string, ago time.Duration)) {
	t.Helper()
	p, b = planned(t)
	service := p.cfg.Failover.Services["orders"]
	service.Retake = config.Duration(time.Hour)
	p.cfg.Failover.Services["orders"] = service
	p.cfg.Failover.Confirm = config.Duration(10 * time.Second)
	p.leases.lapses = time.Minute
	recorded(t, p, keeper.Record{Primary: "a", Epoch: 1})
	return p, b, func(holder string, ago time.Duration) {
		t.Helper()
		value := messages.LeaseValue{Holder: holder, Epoch: 1}
		data, err := value.Encode()
		if err != nil {
			t.Fatal(err)
		}
		revision, err := p.leases.store.Put(t.Context(), messages.ServiceLease("orders"), data)
		if err != nil {
			t.Fatal(err)
		}
		p.leases.views["orders"] = leaseSeen{LeaseValue: value, revision: revision, changed: time.Now().Add(-ago)}
	}
}

// What a primary answers counts for nothing once nobody holds the lease: it is gone when its
// keeper is, and however its keeper is when nobody took the lease for long.
func TestAPrimaryWithoutItsLeaseIsGone(t *testing.T) {
	p, _, written := led(t)
	const short, confirmed, long = 62 * time.Second, 2 * time.Minute, 3 * time.Hour
	for _, c := range []struct {
		name          string
		holder        string
		ago           time.Duration
		verdict, node string
		silent        int64
		want          bool
		why           string
	}{
		{"most regions hold it down", "a", 0, "down", "up", 0, true, "what regions say"},
		{"somebody renews the lease", "a", time.Second, "up", "down", 9000, false, "what regions say"},
		{"it was given back a moment ago", "", time.Second, "up", "down", 9000, false, "what regions say"},
		{"it lapsed a moment ago", "a", short, "up", "down", 9000, false, "a moment ago"},
		{"it lapsed, and the node is gone", "a", confirmed, "up", "down", 9000, true, "the keeper of a is not heard from node eu-1"},
		{"it was given back, and the node is gone", "", confirmed, "up", "down", 9000, true, "nobody holds the lease of orders"},
		{"the node said goodbye", "", confirmed, "up", "", 0, true, "not heard"},
		{"the node is doubted", "a", confirmed, "up", "suspect", 9000, false, "a moment ago"},
		{"its keeper was restarted", "a", confirmed, "up", "down", 0, false, "a moment ago"},
		{"nobody comes", "a", long, "up", "up", 0, true, "nobody takes it by itself"},
		{"its keeper has stopped it", "a", 0, "suspect", "up", -1, true, "its keeper has stopped it: by order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			written(c.holder, c.ago)
			if c.node == "" {
				p.eyes.(*sight).see()
			} else {
				p.eyes.(*sight).see(messages.NodeStatus{Node: "eu-1", Seen: messages.Seen{Verdict: c.node}})
			}
			m := messages.MemberStatus{
				Member: "a", Node: "eu-1", Keeper: &messages.MemberState{Member: "a", Healthy: true, Role: "standby"},
				KeeperSilentMillis: c.silent, Seen: messages.Seen{Verdict: c.verdict, Why: "what regions say"},
			}
			if c.silent < 0 {
				m.KeeperSilentMillis, m.Keeper.Role, m.Keeper.Detail = 0, "fenced", "by order"
			}
			lost, why, err := p.lost(t.Context(), "orders", m)
			if err != nil || lost != c.want || !strings.Contains(why, c.why) {
				t.Errorf("%v, %s, %v", lost, why, err)
			}
		})
	}
	t.Run("it was renewed, which was not heard", func(t *testing.T) {
		written("a", long)
		seen := p.leases.views["orders"]
		written("a", 0)
		p.leases.views["orders"] = seen
		m := messages.MemberStatus{Member: "a", Node: "eu-1", Keeper: &messages.MemberState{}, Seen: messages.Seen{Verdict: "up"}}
		if lost, why, err := p.lost(t.Context(), "orders", m); lost || err != nil {
			t.Errorf("%s, %v", why, err)
		}
	})
}

// A plan that has begun is not needed any more when the old primary was quicker, and leads:
// not when that cannot be stopped, or is gone all the same.
func TestAnOldPrimaryThatWasQuicker(t *testing.T) {
	p, b, written := led(t)
	written("a", 0)
	former := &answering{state: messages.MemberState{Service: "orders", Member: "a", Holds: true, Writable: true, State: "leading"}}
	former.serve(t, b)
	eyes := p.eyes.(*sight)
	eyes.members[0] = messages.MemberStatus{Member: "a", Node: "eu-1", Keeper: &messages.MemberState{Member: "a", Role: "primary"}, Seen: messages.Seen{Verdict: "up"}}
	eyes.see(node("eu-1", "up"), node("us-1", "up"))
	c := plan.Call{Epoch: 7, Execution: "x", Node: "n", Variant: plan.Ungraceful, Timeout: time.Minute, Params: map[string]string{"service": "orders", "member": "b", "state": "free"}}
	if _, _, err := p.leaseIs(t.Context(), c); !errors.Is(err, plan.ErrNeedless) {
		t.Errorf("it leads: %v", err)
	}
	ctx, cancel := p.unlessRetaken(t.Context(), c)
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), plan.ErrNeedless) {
		t.Error(context.Cause(ctx))
	}
	cancel()
	c.Variant = plan.Graceful
	if free, _, err := p.leaseIs(t.Context(), c); free || err != nil {
		t.Errorf("a primary that is to be stopped in good order: %v, %v", free, err)
	}
	c.Variant = plan.Ungraceful
	is := func(state string) {
		former.mu.Lock()
		defer former.mu.Unlock()
		former.state.State = state
	}
	for what, change := range map[string]func(){
		"it cannot be stopped":       func() { is("fencing") },
		"most regions hold it down":  func() { eyes.members[0].Verdict = "down" },
		"it was never a member here": func() { c.Params["service"] = "elsewhere" },
	} {
		is("leading")
		eyes.members[0].Verdict, c.Params["service"] = "up", "orders"
		change()
		if free, _, err := p.leaseIs(t.Context(), c); err != nil {
			t.Errorf("%s: %v, %v", what, free, err)
		}
	}
}

// A service whose last primary was taken out of the configuration, and that nobody leads,
// is complained of with an order that is taken.
func TestALastPrimaryThatIsNoMemberAnyMore(t *testing.T) {
	p, _, written := led(t)
	recorded(t, p, keeper.Record{Primary: "z", Epoch: 2})
	written("z", 3*time.Hour)
	eyes := p.eyes.(*sight)
	eyes.see(node("eu-1", "up"), node("us-1", "up"))
	for what, c := range map[string]struct {
		roles [2]string
		want  string
	}{
		"one stands by": {[2]string{"unknown", "standby"}, "--set from=a --set to=b"},
		"none does":     {[2]string{"unknown", "fenced"}, "put it back there, or mend one of the others"},
	} {
		for i := range eyes.members {
			eyes.members[i].Keeper = &messages.MemberState{Healthy: true, Role: c.roles[i]}
			eyes.members[i].Verdict = "up"
		}
		if err := p.consider(t.Context(), eyes.Status().Services[0], p.cfg.Failover.Services["orders"]); err != nil {
			t.Fatal(err)
		}
		if all := p.complaints(); len(all) != 1 || !strings.Contains(all[0], c.want) {
			t.Errorf("%s: %q", what, all)
		}
	}
	if err := p.suitsMembers(t.Context(), "orders", "a", "b", true); err != nil {
		t.Error(err)
	}
	if err := p.suitsMembers(t.Context(), "orders", "b", "b", true); err != nil {
		t.Errorf("the only one that is left: %v", err)
	}
	if err := p.suitsMembers(t.Context(), "orders", "b", "b", false); err == nil {
		t.Error("in good order nothing takes over from itself")
	}
}
