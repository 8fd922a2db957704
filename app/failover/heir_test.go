package failover

import (
	"slices"
	"testing"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/messages"
)

func TestTheHeirIsTheOneThatHasMost(t *testing.T) {
	standby := func(name, verdict string, change func(*messages.MemberState)) messages.MemberStatus {
		k := &messages.MemberState{Member: name, Healthy: true, Role: "standby", Timeline: 1, Position: "0/3000060", LagBytes: -1}
		change(k)
		return messages.MemberStatus{Member: name, Node: "at-" + name, Keeper: k, Seen: messages.Seen{Verdict: verdict}}
	}
	same := func(*messages.MemberState) {}
	at := func(position string) func(*messages.MemberState) {
		return func(k *messages.MemberState) { k.Position = position }
	}
	for _, c := range []struct {
		name    string
		mode    string
		members []messages.MemberStatus
		secured []string
		want    string
		away    []string
	}{
		{"nobody is there", "", nil, nil, "", nil},
		{"the primary is no heir of itself", "", []messages.MemberStatus{standby("a", "up", same)}, nil, "", nil},
		{"one follows", "", []messages.MemberStatus{standby("b", "up", same)}, nil, "b", nil},
		{"one is doubted", "", []messages.MemberStatus{standby("b", "suspect", same)}, nil, "b", nil},
		{"one is down", "", []messages.MemberStatus{standby("b", "down", same)}, nil, "", nil},
		{"one is unwell", "", []messages.MemberStatus{standby("b", "up", func(k *messages.MemberState) { k.Healthy = false })}, nil, "", nil},
		{"one is fenced", "", []messages.MemberStatus{standby("b", "up", func(k *messages.MemberState) { k.Role = "fenced" })}, nil, "", nil},
		{"one has more", "", []messages.MemberStatus{standby("b", "up", same), standby("c", "up", at("0/30000A0")), standby("d", "up", same)}, nil, "c", nil},
		{"a hexadecimal number is no text", "", []messages.MemberStatus{standby("b", "up", at("0/FF")), standby("c", "up", at("1/0"))}, nil, "c", nil},
		{"one is on a later history", "", []messages.MemberStatus{standby("b", "up", at("9/0")), standby("c", "up", func(k *messages.MemberState) { k.Timeline = 2 })}, nil, "c", nil},
		{"another kind of service says how far behind it is", "", []messages.MemberStatus{
			standby("b", "up", func(k *messages.MemberState) { k.Position, k.LagBytes = "", 10 }),
			standby("c", "up", func(k *messages.MemberState) { k.Position, k.LagBytes = "", 3 }),
			standby("d", "up", func(k *messages.MemberState) { k.Position = "" }),
		}, nil, "c", nil},
		{"only who has everything may take over", "synchronous", []messages.MemberStatus{standby("b", "up", at("0/30000A0")), standby("c", "up", same)}, []string{"c"}, "c", nil},
		{"nobody has everything", "strict", []messages.MemberStatus{standby("b", "up", same)}, nil, "", nil},
		{"who has most cannot be told to", "", []messages.MemberStatus{standby("b", "up", at("0/30000A0")), standby("c", "up", same)}, nil, "c", []string{"at-b"}},
		{"who has most cannot be told to, nor come first", "", []messages.MemberStatus{standby("b", "up", same), standby("c", "up", at("0/30000A0"))}, nil, "c", []string{"at-b"}},
		{"of those that cannot be told, who has most", "", []messages.MemberStatus{standby("b", "up", same), standby("c", "up", at("0/30000A0"))}, nil, "c", []string{"at-b", "at-c"}},
		{"who cannot be told is better than nobody", "", []messages.MemberStatus{standby("b", "up", same)}, nil, "b", []string{"at-b"}},
		{"who has everything cannot be told", "synchronous", []messages.MemberStatus{standby("b", "up", same), standby("c", "up", same)}, []string{"b"}, "b", []string{"at-b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := heirOf(messages.ServiceStatus{Members: c.members}, keeper.Record{Primary: "a", Epoch: 1, Members: c.secured}, c.mode,
				func(node string) bool { return slices.Contains(c.away, node) })
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
