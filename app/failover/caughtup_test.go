package failover

import (
	"errors"
	"testing"

	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

// A plan that waits for hours until a member has caught up ends when the primary that it follows
// is gone: it would keep the service from failing over.
func TestNobodyIsCaughtUpWithWhoIsGone(t *testing.T) {
	p, _, written := led(t)
	written("a", 0)
	eyes := p.eyes.(*sight)
	eyes.see(node("eu-1", "up"), node("us-1", "up"))
	eyes.members = []messages.MemberStatus{
		{Member: "a", Node: "eu-1", Keeper: &messages.MemberState{Member: "a", Role: "primary", Healthy: true}, Seen: messages.Seen{Verdict: "up"}},
		{Member: "b", Node: "us-1", Keeper: &messages.MemberState{Member: "b", Role: "standby", Healthy: true, LagBytes: 9, LagMillis: 9000}, Seen: messages.Seen{Verdict: "up"}},
	}
	c := plan.Call{Epoch: 7, Params: map[string]string{"service": "orders", "member": "b", "lag": "1s"}}
	if held, seen, err := p.caughtUp(t.Context(), c); held || err != nil {
		t.Errorf("it is behind a primary that serves: %v, %s, %v", held, seen, err)
	}
	eyes.members[0].Verdict = "down"
	if _, _, err := p.caughtUp(t.Context(), c); !errors.Is(err, plan.ErrNeedless) {
		t.Errorf("its primary is gone: %v", err)
	}
	c.Params["lag"] = "0s"
	if held, seen, err := p.caughtUp(t.Context(), c); held || err != nil {
		t.Errorf("its primary was stopped for it: %v, %s, %v", held, seen, err)
	}
}

func TestWhoHasAllOfAStoppedPrimary(t *testing.T) {
	at := func(timeline uint64, position string) messages.MemberState {
		return messages.MemberState{Timeline: timeline, Position: position}
	}
	during := func(tenure uint64, m messages.MemberState) messages.MemberState {
		m.Tenure = tenure
		return m
	}
	for _, c := range []struct {
		name  string
		m, of messages.MemberState
		want  bool
	}{
		{"has it", at(1, "0/3000148"), at(1, "0/3000148"), true},
		{"has what ends the log, too", at(1, "0/30001C0"), at(1, "0/3000148"), true},
		{"lacks the last of it", at(1, "0/3000000"), at(1, "0/3000148"), false},
		{"is on another timeline", at(2, "0/4000000"), at(1, "0/3000148"), false},
		{"was made to follow there", during(41, at(1, "0/101AB50")), during(41, at(2, "0/101AAD8")), true},
		{"was made to follow there, and lacks some", during(41, at(1, "0/1010000")), during(41, at(2, "0/101AAD8")), false},
		{"followed somebody before", during(4, at(1, "0/101AB50")), during(41, at(2, "0/101AAD8")), false},
		{"nobody knows where it stopped", at(1, "0/3000148"), at(1, "0/0"), false},
		{"a count", at(0, "17"), at(0, "17"), true},
		{"another count", at(0, "16"), at(0, "17"), false},
		{"neither tells", at(0, ""), at(0, ""), false},
	} {
		if got := hasAll(c.m, c.of); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
