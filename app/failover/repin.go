package failover

import (
	"context"
	"time"

	"mahavishnu/messages/bus"
)

// repinEvery is how often the leading coordinator looks where streams are led from:
// elections happen.
const repinEvery = 15 * time.Second

// keepLeadersAway moves the leaders of the streams that a failover writes to out of
// the region where most services are active, while this coordinator leads. Losing that
// region then costs no election.
func (p *Planner) keepLeadersAway(ctx context.Context) error {
	for {
		if err := p.leases.clock.Sleep(ctx, repinEvery); err != nil {
			return err
		}
		see := p.looking()
		away := p.activeRegion()
		if see == nil || see.Status().Epoch == 0 || away == "" {
			continue
		}
		pinned, err := bus.Repin(ctx, p.bus.Conn(), bus.RepinOptions{Away: away, Regions: p.cfg.Regions})
		for _, moved := range pinned {
			if moved.From != "" {
				p.log.Info().Str("stream", moved.Stream).Str("from", moved.From).Str("to", moved.Leader).
					Msgf("its leader was in %s, where services are active", away)
			}
		}
		if err != nil && ctx.Err() == nil {
			p.log.Warn().Err(err).Msg("streams that a failover writes to are led from the region that they should survive")
		}
	}
}

// activeRegion is where most services have their primary; "" while none has. Of
// regions with as many it is the first by name, so that leaders do not wander.
func (p *Planner) activeRegion() string {
	count := map[string]int{}
	for name, s := range p.cfg.Failover.Services {
		if m, ok := s.Members[p.leases.holder(name)]; ok {
			count[m.Region]++
		}
	}
	best := ""
	for _, region := range p.cfg.Regions {
		if n := count[region]; n > 0 && (best == "" || n > count[best] || n == count[best] && region < best) {
			best = region
		}
	}
	return best
}
