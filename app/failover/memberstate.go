package failover

import (
	"slices"
	"strings"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
	"mahavishnu/messages"
)

// Roles of members that are no longer in their own.
const (
	roleFenced  = "fenced"
	roleFencing = "fencing"
)

// memberState is what a keeper says of its member to everybody.
func memberState(s keeper.Status) messages.MemberState {
	h := s.Health
	m := messages.MemberState{
		Service: s.Service, Member: s.Member, State: string(s.State),
		Healthy: h.Running && s.Trouble == "", Role: string(h.Role), Writable: h.Writable,
		Epoch: s.CommandEpoch, Tenure: s.Epoch, Holds: s.Holds, Untold: s.Untold,
		Timeline: h.Timeline, Position: h.Position, LagBytes: h.LagBytes, LagMillis: h.LagTime.Milliseconds(),
		Trouble: sentence("; ", s.Trouble, h.Wrong, s.Lacks),
	}
	switch {
	case s.State == keeper.Fenced:
		m.Healthy, m.Role = false, roleFenced
	case s.State == keeper.Fencing:
		m.Healthy, m.Role = false, roleFencing
		if s.Trouble != "" {
			m.Trouble = s.Trouble // which may well be what the machine lacks
			m.Remedy = keeper.Remedy(s.Service, s.Member)
		}
	case h.Role == standby.Standby && !h.Streaming:
		m.LagBytes, m.LagMillis = -1, -1 // what it does not know of, it cannot count
	}
	m.Detail = sentence(": ", m.State, s.Reason, h.Detail, m.Trouble)
	return m
}

// sentence puts parts together. Only the first stays although another one contains it.
func sentence(between string, parts ...string) string {
	var kept []string
	for i, part := range parts {
		said := func(other string) bool { return strings.Contains(other, part) }
		if part == "" || slices.ContainsFunc(parts[i+1:], said) && i > 0 || slices.ContainsFunc(kept, said) {
			continue
		}
		kept = append(kept, part)
	}
	return strings.Join(kept, between)
}
