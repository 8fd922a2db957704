package failover

import (
	"slices"
	"strings"
	"testing"

	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

// A primary that was stopped in good order for one that does not take over serves again.
func TestAPrimaryIsNotStoppedInVain(t *testing.T) {
	p, b := planned(t)
	recorded(t, p, keeper.Record{Primary: "a", Epoch: 20})
	p.eyes.(*sight).members[1].Keeper = &messages.MemberState{Healthy: true, Role: "standby"}
	p.eyes.(*sight).see(node("eu-1", "up"), node("us-1", "up"))
	former := &answering{state: messages.MemberState{Service: "orders", Member: "a", Holds: true, Writable: true}}
	former.serve(t, b)
	c := plan.Call{Epoch: 7, Execution: "x", Node: "n", Variant: plan.Graceful, Params: map[string]string{"from": "eu", "to": "us"}}
	if text, err := p.moveServices(t.Context(), c); err == nil {
		t.Errorf("nobody took over: %s", text)
	}
	if want := []messages.Verb{messages.VerbDemote, messages.VerbPromote}; !slices.Equal(former.asked, want) || !former.state.Writable {
		t.Errorf("it was asked to %v, want %v", former.asked, want)
	}
}

func node(name, state string) messages.NodeStatus {
	return messages.NodeStatus{Node: name, Seen: messages.Seen{State: state}}
}

// Who took over is gone for good, and a leader that knows nothing of it goes on: the member
// that was left serves again, if it has what the other one had, and the plan says that it
// could not move the service.
func TestTheOneThatWasLeftServesAgain(t *testing.T) {
	p, b := planned(t)
	home := &answering{state: messages.MemberState{Service: "orders", Member: "a"}}
	silence, err := b.ServeMember(t.Context(), "orders", "a", home.obey)
	if err != nil {
		t.Fatal(err)
	}
	service := p.cfg.Failover.Services["orders"]
	eyes := p.eyes.(*sight)
	for _, c := range []struct {
		name     string
		variant  plan.Variant
		mode     string
		members  []string // have everything
		tenure   uint64   // under which it was last made to follow, or was the primary
		promoted bool
	}{
		{"it follows who took over", plan.Graceful, "", nil, 20, true},
		{"it follows who took over, and said so", plan.Graceful, config.ModeAsynchronous, nil, 20, true},
		{"it may lack what the other one took", plan.Graceful, "", nil, 10, false},
		{"it has everything", plan.Graceful, config.ModeSynchronous, []string{"a"}, 10, true},
		{"another one has everything", plan.Graceful, config.ModeStrict, []string{"c"}, 20, false},
		{"writes waited for nobody", plan.Graceful, config.ModeSynchronous, nil, 20, false},
		{"it was not stopped in good order", plan.Ungraceful, "", nil, 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			service.Mode = c.mode
			p.cfg.Failover.Services["orders"] = service
			home.state.Tenure, home.state.Holds, home.state.Writable, home.asked = c.tenure, false, false, nil
			recorded(t, p, keeper.Record{Primary: "b", Epoch: 20, Members: c.members})
			eyes.see(node("eu-1", "up"), node("us-1", "down"))
			call := plan.Call{Epoch: 7, Execution: "x", Node: "n", Variant: c.variant, Params: map[string]string{"from": "eu", "to": "us"}}
			if err := p.noteMoved(t.Context(), call, move{"orders", "a", "b"}); err != nil {
				t.Fatal(err)
			}
			text, err := p.moveServices(t.Context(), call)
			if err == nil || strings.Contains(err.Error(), "on a again, in eu") != c.promoted {
				t.Errorf("%q %v", text, err)
			}
			if got := slices.Contains(home.asked, messages.VerbPromote); got != c.promoted {
				t.Errorf("promoted: %v, want %v", got, c.promoted)
			}
		})
	}
	silence()
	call := plan.Call{Epoch: 7, Execution: "x", Node: "n", Variant: plan.Graceful, Params: map[string]string{"from": "eu", "to": "us"}}
	if got := p.instead(t.Context(), call, keeper.Record{Primary: "b", Epoch: 20}, "orders", "a", "us"); got != "b" {
		t.Errorf("%s is to serve, whose keeper is silent", got)
	}
}
