package failover

import (
	"context"
	"time"

	"mahavishnu/coordinator/route"
)

const (
	// routesAsked is how often it is asked where clients belong: a change is made at once.
	routesAsked = 500 * time.Millisecond
	// routesLooked is how often it is looked whether they are still led there, and
	// routesTime bounds one look and what follows from it.
	routesLooked = 15 * time.Second
	routesTime   = 10 * time.Second
)

// keepRoutes leads the clients of a service to where they belong until ctx ends, while
// this coordinator leads: when a plan could not, when a name server comes back from its
// backup, when somebody edited a record, and when a service has a primary for the first
// time, of which no plan knows.
func (p *Planner) keepRoutes(ctx context.Context, service string) error {
	log := p.log.With().Str("service", service).Logger()
	trouble := ""
	return route.Keep(ctx, route.KeepOptions{
		Router: p.routes[service].Router, Want: func() (route.Target, uint64, bool) { return p.belong(service) },
		Ask: routesAsked, Every: routesLooked, Timeout: routesTime, Clock: p.clock,
		OnMended: func(was route.State) {
			trouble = ""
			log.Info().Str("were", was.Target.String()).Uint64("epoch", was.Epoch).Msg("clients are led to where they belong again")
		},
		OnError: func(err error) {
			if err.Error() != trouble {
				trouble = err.Error()
				log.Warn().Err(err).Msg("clients may be led to the wrong member; it is tried again")
			}
		},
	})
}

// belong is where the clients of a service belong: with the member that holds its lease and
// takes writes. It is not told while this coordinator does not lead, or nobody serves.
func (p *Planner) belong(service string) (route.Target, uint64, bool) {
	see := p.looking()
	if see == nil {
		return route.Target{}, 0, false
	}
	s := see.Status()
	if s.Epoch == 0 || !s.Quorum.Have {
		return route.Target{}, 0, false
	}
	for _, status := range s.Services {
		if status.Service != service {
			continue
		}
		m := find(status, p.leases.holder(service))
		if m == nil || m.Keeper == nil || !m.Keeper.Holds || !m.Keeper.Writable || m.Verdict == "down" {
			return route.Target{}, 0, false
		}
		to, err := TargetOf(p.cfg.Failover.Services[service], m.Member)
		return to, m.Keeper.Tenure, err == nil
	}
	return route.Target{}, 0, false
}
