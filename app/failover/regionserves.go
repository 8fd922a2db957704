package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

// unserved are, of the services that have left the members named, those that a member in
// the region is the primary of and that it does not serve: a leader was lost while it took
// over, say.
func (p *Planner) unserved(ctx context.Context, c plan.Call, left map[string]string, region string) ([]move, error) {
	var all []move
	for _, service := range slices.Sorted(maps.Keys(left)) {
		configured, ok := p.cfg.Failover.Services[service]
		if !ok {
			continue
		}
		record, err := p.tenureOf(ctx, service)
		if err != nil {
			return nil, err
		}
		if record.Primary == "" || configured.Members[record.Primary].Region != region {
			continue
		}
		serves, err := p.takesWrites(ctx, c, service, record.Primary)
		if err != nil {
			return nil, err
		}
		if !serves {
			all = append(all, move{service, "", p.instead(ctx, c, record, service, left[service], region)})
		}
	}
	return all, nil
}

// instead is the member that has to serve: the primary, or if its node is silent another one
// of the region that can take over. Where there is none, it is the one that was left in good
// order, if it has what who took over had: it was made to follow that, or the record says so.
func (p *Planner) instead(ctx context.Context, c plan.Call, record keeper.Record, service, left, region string) string {
	m, err := p.member(service, record.Primary)
	if err != nil || !p.away(m.Node) {
		return record.Primary
	}
	configured := p.cfg.Failover.Services[service]
	for _, seen := range p.looking().Status().Services {
		if seen.Service != service {
			continue
		}
		seen.Members = slices.DeleteFunc(slices.Clone(seen.Members), func(m messages.MemberStatus) bool {
			return configured.Members[m.Member].Region != region
		})
		if heir := heirOf(seen, record, configured.Mode, p.away); heir != "" {
			return heir
		}
	}
	if c.Variant != plan.Graceful || left == "" || !entitled(record, configured.Mode, left) {
		return record.Primary
	}
	former, err := p.word(ctx, c, service, left)
	if err != nil || former.Tenure != record.Epoch && !slices.Contains(record.Members, left) {
		return record.Primary
	}
	return left
}

// takeOver has a member take over once nobody else holds the lease, and leads clients to
// it.
func (p *Planner) takeOver(ctx context.Context, c plan.Call) error {
	service, member := c.Text("service"), c.Text("member")
	if err := p.until(ctx, func() bool {
		holder := p.leases.holder(service)
		return holder == "" || holder == member
	}); err != nil {
		return fmt.Errorf("%s still holds the lease: %w", p.leases.holder(service), err)
	}
	if _, err := p.order(ctx, messages.VerbPromote, c); err != nil {
		return err
	}
	var routed error
	if err := p.until(ctx, func() bool {
		_, routed = p.route(ctx, c)
		return routed == nil
	}); err != nil {
		return errors.Join(routed, err)
	}
	return nil
}

// movedOut are the services that were moved out of a region, with the members that they
// left.
func (p *Planner) movedOut(ctx context.Context, region string) (map[string]string, error) {
	record, _, err := p.regions.read(ctx, region)
	return record.Services, err
}

// regionServes holds when each service that left a region for another takes writes there.
// One that has left that one, too, is not asked: it stays where it is.
func (p *Planner) regionServes(ctx context.Context, c plan.Call) (bool, string, error) {
	services, err := p.movedOut(ctx, c.Text("from"))
	if err != nil {
		return false, "", err
	}
	seen := []string{}
	for _, service := range slices.Sorted(maps.Keys(services)) {
		configured, ok := p.cfg.Failover.Services[service]
		if !ok {
			continue
		}
		record, err := p.tenureOf(ctx, service)
		if err != nil {
			return false, "", err
		}
		switch configured.Members[record.Primary].Region {
		case c.Text("to"):
			there := c
			there.Params = map[string]string{"service": service, "member": record.Primary, "writable": "true"}
			if ok, why, err := p.serves(ctx, there); err != nil || !ok {
				return false, service + ": " + why, err
			}
			seen = append(seen, service+" on "+record.Primary)
		case c.Text("from"):
			return false, fmt.Sprintf("%s: %s, which was left, is still its primary", service, record.Primary), nil
		}
	}
	if len(seen) == 0 {
		return true, "no service was moved", nil
	}
	return true, "writes are taken: " + strings.Join(seen, ", "), nil
}

// moved tells whether no service is left whose primary is in the region, and those that
// have left it are served.
func (p *Planner) moved(ctx context.Context, c plan.Call) (bool, error) {
	moves, _, err := p.moves(ctx, c.Text("from"), c.Text("to"))
	if err != nil || len(moves) > 0 {
		return false, err
	}
	services, err := p.movedOut(ctx, c.Text("from"))
	if err != nil {
		return false, err
	}
	rest, err := p.unserved(ctx, c, services, c.Text("to"))
	return err == nil && len(rest) == 0, err
}

// beganMoving tells whether any service has left the region, or was about to.
func (p *Planner) beganMoving(ctx context.Context, c plan.Call) (bool, error) {
	record, err := p.regions.change(ctx, c, c.Text("from"), func(*messages.RegionRecord, *messages.RegionChange) {})
	return err == nil && len(record.Services) > 0, err
}

// servicesReturned tells whether none is left that has to go back: a service is forgotten
// once it is served at home, and nothing that fails there later is for this action.
func (p *Planner) servicesReturned(ctx context.Context, c plan.Call) (bool, error) {
	return p.regions.done(ctx, c, c.Text("from"), func(r messages.RegionRecord) bool { return len(r.Services) == 0 })
}

// beganReturning tells whether any service is back in the region.
func (p *Planner) beganReturning(ctx context.Context, c plan.Call) (bool, error) {
	back, _, err := p.moves(ctx, c.Text("from"), c.Text("to"))
	return err == nil && len(back) > 0, err
}
