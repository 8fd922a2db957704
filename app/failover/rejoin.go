package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

const (
	// RejoinMember is the plan that makes a member follow which follows nobody.
	RejoinMember = "rejoin_member"
	// reuniteEvery is how often the leader looks for such members. It is no hurry: what
	// hurries has failed over by then.
	reuniteEvery = 2 * time.Second
)

// reunite starts RejoinMember for members that follow nobody, until ctx ends.
func (p *Planner) reunite(ctx context.Context) {
	for p.clock.Sleep(ctx, reuniteEvery) == nil {
		eyes := p.looking()
		if eyes == nil {
			continue
		}
		for _, service := range eyes.Status().Services {
			configured, ok := p.cfg.Failover.Services[service.Service]
			if !ok {
				continue
			}
			if err := p.reuniteService(ctx, service, configured); err != nil && ctx.Err() == nil {
				p.log.Warn().Err(err).Str("service", service.Service).Msg("members that follow nobody")
			}
		}
	}
}

// reuniteService does that for one service. While a plan is at work on the service, whom
// to follow is that plan's business.
func (p *Planner) reuniteService(ctx context.Context, service messages.ServiceStatus, configured config.FailoverService) error {
	if !slices.ContainsFunc(service.Members, func(m messages.MemberStatus) bool { return idle(m.Keeper) }) {
		p.takeBack(service)
		return nil // which is so nearly always, and costs nothing
	}
	record, err := p.tenureOf(ctx, service.Service)
	if err != nil || record.Primary == "" {
		return err
	}
	if primary := find(service, record.Primary); primary == nil || !reigns(primary, record) || p.away(primary.Node) {
		p.takeBack(service)
		return nil
	}
	var errs []error
	for _, m := range service.Members {
		name := service.Service + "/" + m.Member
		if !astray(m, record) || p.away(m.Node) || !configured.RejoinsByItself(m.Member) || deaf(m, configured.Kind) {
			p.leave(name, "")
			continue
		}
		held, err := p.held(ctx, "service/"+service.Service)
		if err != nil || held {
			return err
		}
		errs = append(errs, p.startRejoin(ctx, service.Service, m, record.Primary))
	}
	return errors.Join(errs...)
}

// idle reports whether a member's keeper is at nothing, and its member no primary.
func idle(k *messages.MemberState) bool {
	if k == nil || k.Holds || k.Writable {
		return false
	}
	switch keeper.State(k.State) {
	case keeper.Fenced, keeper.Down:
		// One that never was a member under a tenure may be anything: what lies in its
		// directory is for a person to say.
		return k.Tenure > 0
	case keeper.Following:
		return k.LagBytes < 0 // nobody sends it anything
	}
	return false
}

// astray reports whether a member follows nobody though there is a primary to follow:
// another member took over since it was last promoted, or was last made to follow.
func astray(m messages.MemberStatus, record keeper.Record) bool {
	return m.Member != record.Primary && idle(m.Keeper) && m.Keeper.Tenure < record.Epoch
}

// deaf reports whether a member cannot be ordered to follow yet: only the service itself could
// obey, and it has not been there since it was stopped. It is ordered to once it is.
func deaf(m messages.MemberStatus, kind string) bool {
	return kind == config.ServiceHTTP && m.Keeper.Untold
}

// reigns reports whether a member is the primary that the record speaks of, and takes
// writes.
func reigns(m *messages.MemberStatus, record keeper.Record) bool {
	k := m.Keeper
	return m.Verdict == "up" && k != nil && k.Holds && k.Writable && k.Tenure == record.Epoch
}

// holderOf is the execution that holds something; nil when none does.
func (p *Planner) holderOf(ctx context.Context, thing string) (*plan.Execution, error) {
	x := p.desk.Executor()
	standings, err := x.Standings(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(standings, func(s plan.Standing) bool { return s.Thing == thing && s.Holder != "" })
	if i < 0 {
		return nil, nil
	}
	e, err := x.Find(ctx, standings[i].Holder)
	return &e, err
}

// held reports whether an execution of a plan is at work on something. One that has
// stopped is not: whoever decides about it may come in the morning.
func (p *Planner) held(ctx context.Context, thing string) (bool, error) {
	e, err := p.holderOf(ctx, thing)
	return err == nil && e != nil && e.State != plan.StateStopped, err
}

// startRejoin starts the plan for a member, unless it is under way or was tried too
// often.
func (p *Planner) startRejoin(ctx context.Context, service string, m messages.MemberStatus, primary string) error {
	definition, err := p.desk.Plans().Get(RejoinMember)
	if err != nil || definition.Start != plan.Automatic {
		return err
	}
	_, err = p.desk.Start(ctx, plan.Order{
		Plan: definition, Trigger: plan.Automatic, By: p.cfg.Node.Name,
		Reason: fmt.Sprintf("%s takes writes, and %s is %s", primary, m.Member, m.Keeper.Detail),
		Params: map[string]string{"service": service, "member": m.Member, "primary": primary},
	})
	name := service + "/" + m.Member
	switch {
	case errors.Is(err, plan.ErrBusy), errors.Is(err, plan.ErrNotLeading):
		return nil
	case errors.Is(err, plan.ErrTooSoon):
		text := fmt.Sprintf("%s follows nobody, and nothing is done about it yet: %v; a person need not wait: mahavishnu failover execute %s --set service=%s --set member=%s; what was tried: mahavishnu failover journal",
			name, err, RejoinMember, service, m.Member)
		if p.leave(name, text) {
			p.log.Warn().Str("member", name).Msg(text)
		}
		return nil
	case err == nil:
		p.leave(name, "")
	}
	return err
}

// leave notes why a member is left alone, for the status, and reports whether that is news.
// Without a reason it is not left alone any more.
func (p *Planner) leave(name, why string) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == nil {
		p.left = map[string]string{}
	}
	news = p.left[name] == "" && why != ""
	p.left[name] = why
	return news
}

// takeBack leaves no member of a service alone any more.
func (p *Planner) takeBack(service messages.ServiceStatus) {
	for _, m := range service.Members {
		p.leave(service.Service+"/"+m.Member, "")
	}
}

// stray is the member of a service that an order to follow means when it names none: one
// that follows nobody, or else any but the primary.
func stray(service messages.ServiceStatus, record keeper.Record) string {
	for _, m := range service.Members {
		if astray(m, record) {
			return m.Member
		}
	}
	for _, m := range service.Members {
		if m.Member != record.Primary {
			return m.Member
		}
	}
	return ""
}
