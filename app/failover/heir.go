package failover

import (
	"slices"

	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/messages"
	"mahavishnu/postgres"
)

// heirOf is the member to take over: one that is up and follows, in the modes in which
// writes wait for standbys one that has everything; among them the one that has most.
// "" is none.
func heirOf(service messages.ServiceStatus, record keeper.Record, mode string) string {
	heir, best := "", &messages.MemberState{}
	for _, m := range service.Members {
		k := m.Keeper
		switch {
		case m.Member == record.Primary || m.Verdict == "down" || k == nil || !k.Healthy || k.Role != "standby":
			continue
		case mode != "" && mode != config.ModeAsynchronous && !slices.Contains(record.Members, m.Member):
			continue
		}
		if heir == "" || ahead(k, best) {
			heir, best = m.Member, k
		}
	}
	return heir
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
