package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

const (
	// closeBehind is how far a member that goes back may be behind when the one that
	// serves is stopped: writes wait for what is left.
	closeBehind = time.Second
	// lastTime is how long it then has to receive the last of it, and reinstateTime how
	// long a member that was stopped in vain has to serve again.
	lastTime      = 30 * time.Second
	reinstateTime = 15 * time.Second
)

// noteMoved remembers which member a service left, so that it can go back there.
func (p *Planner) noteMoved(ctx context.Context, c plan.Call, m move) error {
	_, err := p.regions.change(ctx, c, c.Text("from"), func(r *messages.RegionRecord, _ *messages.RegionChange) {
		services := maps.Clone(r.Services)
		if services == nil {
			services = map[string]string{}
		}
		if services[m.service] == "" {
			services[m.service] = m.from
		}
		r.Services = services
	})
	return err
}

// forgetMoved takes that back.
func (p *Planner) forgetMoved(ctx context.Context, c plan.Call, service string) error {
	_, err := p.regions.change(ctx, c, c.Text("from"), func(r *messages.RegionRecord, _ *messages.RegionChange) {
		r.Services = maps.Clone(r.Services)
		delete(r.Services, service)
	})
	return err
}

// checkReturn tells which services would go back where, and whether they could.
func (p *Planner) checkReturn(ctx context.Context, c plan.Call) (string, error) {
	record, _, err := p.regions.read(ctx, c.Text("from"))
	if err != nil {
		return "", err
	}
	var texts []string
	var errs []error
	for _, service := range slices.Sorted(maps.Keys(record.Services)) {
		home := record.Services[service]
		m, err := p.member(service, home)
		switch {
		case err != nil:
			errs = append(errs, err)
		case m.Keeper == nil:
			errs = append(errs, fault.New("return service", service, fmt.Errorf("the keeper of %s was never heard", home), "run mahavishnu coordinator on node "+m.Node))
		default:
			if _, err := p.word(ctx, c, service, home); err != nil {
				errs = append(errs, fault.New("return service", service, fmt.Errorf("the keeper of %s does not answer: %w", home, err), "run mahavishnu coordinator on node "+m.Node))
				continue
			}
			texts = append(texts, service+" to "+home)
		}
	}
	if len(texts) == 0 && len(errs) == 0 {
		return "no service has been moved out of " + c.Text("from"), nil
	}
	return strings.Join(texts, ", "), errors.Join(errs...)
}

// returnServices has every service that was moved out of a region go back to the member
// that it left. One that cannot does not keep the others.
func (p *Planner) returnServices(ctx context.Context, c plan.Call) (string, error) {
	// Whoever led before can change nothing about the region from here on.
	record, err := p.regions.change(ctx, c, c.Text("from"), func(*messages.RegionRecord, *messages.RegionChange) {})
	if err != nil {
		return "", err
	}
	var texts []string
	var errs []error
	for _, service := range slices.Sorted(maps.Keys(record.Services)) {
		text, err := p.returnService(ctx, c, service, record.Services[service])
		if errors.Is(err, plan.ErrFenced) {
			return "", err
		}
		if err == nil {
			err = p.forgetMoved(ctx, c, service)
		}
		if err != nil {
			errs = append(errs, fault.New("return service", service, err, "see: mahavishnu failover status"))
			continue
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		texts = append(texts, "no service had to go back")
	}
	return strings.Join(texts, ", "), errors.Join(errs...)
}

// returnService has one service go back: the member that it left follows until it has
// nearly everything, then the two change places in good order.
func (p *Planner) returnService(ctx context.Context, c plan.Call, service, home string) (string, error) {
	record, err := p.tenureOf(ctx, service)
	if err != nil {
		return "", err
	}
	current := record.Primary
	at := func(member, primary string) plan.Call {
		there := c
		there.Params = map[string]string{"service": service, "member": member, "primary": primary}
		return there
	}
	switch region := p.cfg.Failover.Services[service].Members[current].Region; {
	case current == home: // an attempt before this one may have been lost while it took over
		serves, err := p.takesWrites(ctx, c, service, home)
		if err == nil && !serves {
			err = p.takeOver(ctx, at(home, ""))
		}
		return service + " is on " + home, err
	case region != c.Text("to"):
		return fmt.Sprintf("%s is on %s, in %s, and stays there", service, current, region), nil
	}
	if p.leases.holder(service) == current { // else an attempt before this one has stopped it
		if _, err := p.order(ctx, messages.VerbRejoin, at(home, current)); err != nil {
			return "", err
		}
		if err := p.behind(ctx, at(home, ""), closeBehind); err != nil {
			return "", err
		}
		if _, err := p.order(ctx, messages.VerbDemote, at(current, "")); err != nil {
			return "", errors.Join(err, p.reinstate(ctx, at(current, ""), err))
		}
	}
	if err := p.takeHome(ctx, at(home, "")); err != nil {
		return "", errors.Join(err, p.reinstate(ctx, at(current, ""), err))
	}
	var routed error
	if err := p.until(ctx, func() bool {
		_, routed = p.route(ctx, at(home, ""))
		return routed == nil
	}); err != nil {
		return "", errors.Join(routed, err)
	}
	text := fmt.Sprintf("%s went back from %s to %s", service, current, home)
	if _, err := p.order(ctx, messages.VerbRejoin, at(current, home)); err != nil {
		text += fmt.Sprintf("; %s does not follow yet: %v", current, err) // the service is where it belongs
	}
	return text, nil
}

// takeHome promotes a member once it has all that the one before it has sent, which is
// stopped.
func (p *Planner) takeHome(ctx context.Context, c plan.Call) error {
	last, cancel := context.WithTimeoutCause(ctx, lastTime, fmt.Errorf("%w of %v for the last of it", plan.ErrTimeout, lastTime))
	defer cancel()
	if err := p.behind(last, c, 0); err != nil {
		return err
	}
	service, home := c.Text("service"), c.Text("member")
	if err := p.until(last, func() bool {
		holder := p.leases.holder(service)
		return holder == "" || holder == home
	}); err != nil {
		return fmt.Errorf("%s still holds the lease: %w", p.leases.holder(service), err)
	}
	_, err := p.order(ctx, messages.VerbPromote, c)
	return err
}

// behind waits until a member is no more than so far behind; 0 is nothing at all.
func (p *Planner) behind(ctx context.Context, c plan.Call, most time.Duration) error {
	asked := c
	asked.Params = maps.Clone(c.Params)
	asked.Params["lag"] = most.String()
	var seen string
	if err := p.until(ctx, func() bool {
		var ok bool
		var err error
		ok, seen, err = p.caughtUp(ctx, asked)
		return ok && err == nil
	}); err != nil {
		return fmt.Errorf("%s: %w", seen, err)
	}
	return nil
}

// reinstate has a member that was stopped for another one, which did not take over, serve
// again. Without the lead, or when the other one does serve, that is not for this
// coordinator to do.
func (p *Planner) reinstate(ctx context.Context, c plan.Call, why error) error {
	if cause := context.Cause(ctx); errors.Is(why, plan.ErrFenced) || cause != nil && !errors.Is(cause, plan.ErrTimeout) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reinstateTime)
	defer cancel()
	c.Undo = true // it gives way to one that serves
	if _, err := p.order(ctx, messages.VerbPromote, c); err != nil {
		return fmt.Errorf("%s, which served, was not brought back: %w", c.Text("member"), err)
	}
	_, err := p.route(ctx, c)
	return err
}
