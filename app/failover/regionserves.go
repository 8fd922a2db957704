package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// wordPatience is how long a keeper has to say how its member is.
const wordPatience = time.Second

// word is how a member is by what its keeper says now; what it said earlier does not
// count. The keeper obeys nobody older than this coordinator from then on.
func (p *Planner) word(ctx context.Context, c plan.Call, service, member string) (messages.MemberState, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, wordPatience, fmt.Errorf("its keeper does not answer within %v", wordPatience))
	defer cancel()
	reply, err := p.bus.CommandMember(ctx, messages.MemberCommand{
		Verb: messages.VerbStatus, Service: service, Member: member, Epoch: c.Epoch,
		PatienceMillis: wordPatience.Milliseconds(), By: c.Node, Reason: c.Execution,
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return reply.State, fault.New("ask", service+"/"+member, context.Cause(ctx), "run mahavishnu coordinator on its node")
	case err != nil:
		return reply.State, err
	case reply.Code == messages.MemberStale:
		return reply.State, fault.New("ask", service+"/"+member, fmt.Errorf("%w: %s", plan.ErrFenced, reply.Message), "")
	case reply.State.Service == "":
		return reply.State, fault.New("ask", service+"/"+member, errors.New(reply.Message), reply.Hint)
	}
	return reply.State, nil
}

// takesWrites tells whether a member holds its service's lease and takes writes. One whose
// keeper does not answer is not known to.
func (p *Planner) takesWrites(ctx context.Context, c plan.Call, service, member string) (bool, error) {
	now, err := p.word(ctx, c, service, member)
	if errors.Is(err, plan.ErrFenced) {
		return false, err
	}
	return err == nil && now.Holds && now.Writable, context.Cause(ctx)
}

// unserved are, of these services, those that a member in the region is the primary of
// and that it does not serve: a leader was lost while it took over, say.
func (p *Planner) unserved(ctx context.Context, c plan.Call, services []string, region string) ([]move, error) {
	var all []move
	for _, service := range services {
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
			all = append(all, move{service, "", p.instead(record, service, region)})
		}
	}
	return all, nil
}

// instead is the member in a region that has to serve: the primary, or if its node is
// silent another one that can take over.
func (p *Planner) instead(record keeper.Record, service, region string) string {
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
		if heir := heirOf(seen, record, configured.Mode); heir != "" {
			return heir
		}
	}
	return record.Primary
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

// movedOut are the services that were moved out of a region.
func (p *Planner) movedOut(ctx context.Context, region string) ([]string, error) {
	record, _, err := p.regions.read(ctx, region)
	return slices.Sorted(maps.Keys(record.Services)), err
}

// regionServes holds when each service that left a region for another takes writes there.
// One that has left that one, too, is not asked: it stays where it is.
func (p *Planner) regionServes(ctx context.Context, c plan.Call) (bool, string, error) {
	services, err := p.movedOut(ctx, c.Text("from"))
	if err != nil {
		return false, "", err
	}
	seen := []string{}
	for _, service := range services {
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
	moves, err := p.moves(ctx, c.Text("from"), c.Text("to"))
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

// servicesReturned tells whether none is left that has to go back, and those of the region
// are served.
func (p *Planner) servicesReturned(ctx context.Context, c plan.Call) (bool, error) {
	done, err := p.regions.done(ctx, c, c.Text("from"), func(r messages.RegionRecord) bool { return len(r.Services) == 0 })
	if err != nil || !done {
		return false, err
	}
	rest, err := p.unserved(ctx, c, slices.Sorted(maps.Keys(p.cfg.Failover.Services)), c.Text("from"))
	return err == nil && len(rest) == 0, err
}

// beganReturning tells whether any service is back in the region.
func (p *Planner) beganReturning(ctx context.Context, c plan.Call) (bool, error) {
	back, err := p.moves(ctx, c.Text("from"), c.Text("to"))
	return err == nil && len(back) > 0, err
}
