package failover

import (
	"slices"

	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/messages"
	"mahavishnu/postgres"
)

// heirOf is the member to take over: one that is up and follows, in the modes in which
// writes wait for standbys one that has everything; among them the one that has most. One
// whose node is away comes after all others: its server may answer, but its keeper does not
// obey. "" is none.
func heirOf(service messages.ServiceStatus, record keeper.Record, mode string, away func(node string) bool) string {
	heir, best, bestAway := "", &messages.MemberState{}, false
	for _, m := range service.Members {
		k := m.Keeper
		switch {
		case m.Member == record.Primary || m.Verdict == "down" || k == nil || !k.Healthy || k.Role != "standby":
			continue
		case !entitled(record, mode, m.Member):
			continue
		}
		gone := away(m.Node)
		if heir == "" || bestAway && !gone || bestAway == gone && ahead(k, best) {
			heir, best, bestAway = m.Member, k, gone
		}
	}
	return heir
}

// entitled reports whether the record lets a member take over that was not the last
// primary; its keeper will ask the same. In the modes in which writes wait for standbys it
// is one of those.
func entitled(record keeper.Record, mode, member string) bool {
	return mode == "" || mode == config.ModeAsynchronous || slices.Contains(record.Members, member)
}

// ahead reports whether one member has more than another: by timeline and position
// where they are PostgreSQL's, and else by how far each says that it is behind.
func ahead(a, b *messages.MemberState) bool {
	if a.Timeline != b.Timeline {
		return a.Timeline > b.Timeline
	}
	here, err := postgres.ParseLSN(a.Position)
	there, otherErr := postgres.ParseLSN(b.Position)
	if err == nil && otherErr == nil {
		return here > there
	}
	return a.LagBytes >= 0 && (b.LagBytes < 0 || a.LagBytes < b.LagBytes)
}
