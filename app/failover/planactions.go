package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// bind says who carries out what plans name.
func (p *Planner) bind(r *plan.Registry) error {
	actions := map[string]plan.Action{
		"fence":              p.ordering(messages.VerbFence, func(m messages.MemberState) bool { return !m.Writable && m.Role == "fenced" }),
		"promote":            p.ordering(messages.VerbPromote, func(m messages.MemberState) bool { return m.Holds && m.Writable }),
		"demote":             p.ordering(messages.VerbDemote, func(m messages.MemberState) bool { return !m.Writable && !m.Holds }),
		"rejoin":             p.ordering(messages.VerbRejoin, func(m messages.MemberState) bool { return m.Healthy && m.Role == "standby" }),
		"route":              plan.ActionFuncs{Checks: p.checkRoute, Does: p.route, IsDone: p.routed},
		"move_services":      plan.ActionFuncs{Checks: p.checkMove, Does: p.moveServices, IsDone: p.moved, HasBegun: p.beganMoving},
		"promote_repository": p.ifCopied(plan.ActionFuncs{Checks: p.checkCopy, Does: p.promoteRepository, IsDone: p.repositoryPromoted}),
		"notify":             p.notify(),
	}
	maps.Copy(actions, p.regionActions())
	for name, action := range actions {
		if err := r.BindAction(name, action); err != nil {
			return err
		}
	}
	for name, condition := range map[string]plan.ConditionFunc{
		"quorum": p.quorum, "member_down": p.memberDown, "keeper_answers": p.keeperAnswers, "region_down": p.regionDown, "region_up": p.regionUp,
		"wait_lease": p.leaseIs, "no_primary_yet": p.noPrimaryYet, "probe": p.serves, "caught_up": p.caughtUp,
		"region_serves": p.regionServes, "repository_current": p.copyIsCurrent,
	} {
		if err := r.BindCondition(name, condition); err != nil {
			return err
		}
	}
	return nil
}

// member is a member as the coordinator sees it.
func (p *Planner) member(service, member string) (messages.MemberStatus, error) {
	eyes := p.looking()
	if eyes == nil {
		return messages.MemberStatus{}, errors.New("the coordinator does not run yet")
	}
	known := []string{}
	for _, s := range eyes.Status().Services {
		if s.Service != service {
			continue
		}
		if m := find(s, member); m != nil {
			return *m, nil
		}
		for _, m := range s.Members {
			known = append(known, m.Member)
		}
	}
	err := fmt.Errorf("service %s has no such member; it has %s", service, strings.Join(known, ", "))
	if len(known) == 0 {
		err = fmt.Errorf("there is no service %s; there are %s", service, strings.Join(p.names(plan.TypeService), ", "))
	}
	return messages.MemberStatus{}, fault.New("find member", service+"/"+member, err, "see failover.services in the configuration")
}

// checkRoute tries what leading clients needs.
func (p *Planner) checkRoute(ctx context.Context, c plan.Call) (string, error) {
	r := p.routes[c.Text("service")]
	if r.Router == nil {
		return "no route is configured", nil
	}
	return "its routes can be changed", r.Router.Check(ctx)
}

// route leads clients to a member, under the epoch of its tenure.
func (p *Planner) route(ctx context.Context, c plan.Call) (string, error) {
	service := c.Text("service")
	r := p.routes[service]
	if r.Router == nil {
		return "no route is configured", nil
	}
	m, err := p.member(service, c.Text("member"))
	if err != nil {
		return "", err
	}
	tenure, err := p.tenure(ctx, service, m.Member)
	if err != nil {
		return "", err
	}
	to, err := TargetOf(p.cfg.Failover.Services[service], m.Member)
	if err != nil {
		return "", err
	}
	if err := r.Router.Point(ctx, to, tenure); err != nil {
		return "", err
	}
	return fmt.Sprintf("clients are led to %s, tenure %d", m.Member, tenure), nil
}

// tenure is the epoch under which a member holds the lease of its service. Its keeper is
// asked itself: what it said with its last heartbeat is from before the promotion.
func (p *Planner) tenure(ctx context.Context, service, member string) (uint64, error) {
	reply, err := p.bus.CommandMember(ctx, messages.MemberCommand{Verb: messages.VerbStatus, Service: service, Member: member})
	if err == nil && !reply.State.Holds {
		err = errors.New("it does not hold the lease of the service")
	}
	if err != nil {
		return 0, fault.New("lead clients to", member, err, "")
	}
	return reply.State.Tenure, nil
}

// routed tells whether clients are led there. Routes remember the epoch of the tenure,
// not of the coordinator: leading them there again changes nothing, and says so.
func (p *Planner) routed(ctx context.Context, c plan.Call) (bool, error) {
	r := p.routes[c.Text("service")]
	if r.Router == nil {
		return true, nil
	}
	m, err := p.member(c.Text("service"), c.Text("member"))
	if err != nil || m.Keeper == nil {
		return false, err
	}
	now, epoch, err := r.Router.Current(ctx)
	return err == nil && now.Member == m.Member && epoch == m.Keeper.Tenure, err
}

func (p *Planner) quorum(context.Context, plan.Call) (bool, string, error) {
	q := p.looking().Status().Quorum
	return q.Have, q.Why, nil
}

func (p *Planner) memberDown(ctx context.Context, c plan.Call) (bool, string, error) {
	m, err := p.member(c.Text("service"), c.Text("member"))
	if err != nil {
		return false, "", err
	}
	lost, why, err := p.lost(ctx, c.Text("service"), m)
	if err == nil && !lost && c.Variant == plan.Ungraceful && m.Keeper != nil && m.Keeper.Holds && c.Plan == ServerFailure {
		why += "; one that works is moved with --graceful"
	}
	return lost, why, err
}

// keeperAnswers holds when the keeper of a member answers now: what it said earlier does
// not count.
func (p *Planner) keeperAnswers(ctx context.Context, c plan.Call) (bool, string, error) {
	service, name := c.Text("service"), c.Text("member")
	m, err := p.member(service, name)
	if err != nil {
		return false, "", err
	}
	now, err := p.word(ctx, c, service, name)
	switch {
	case errors.Is(err, plan.ErrFenced), ctx.Err() != nil:
		return false, "", err
	case err != nil:
		//nolint:nilerr // the silence is what was asked about
		return false, fmt.Sprintf("the keeper of %s does not answer: run mahavishnu coordinator on node %s; or when nobody leads %s, without --graceful: mahavishnu failover execute %s --set service=%[3]s",
			name, m.Node, service, ServerFailure), nil
	}
	return true, fmt.Sprintf("the keeper of %s answers; it is %s", name, now.State), nil
}

// gone tells whether a member serves nobody: most regions hold it down, or its keeper has
// stopped it and given the lease back. The second counts by itself, because something else
// may have started it again, so that it answers whoever looks from outside.
func gone(m messages.MemberStatus) bool {
	return m.Verdict == "down" || m.Keeper != nil && m.Keeper.Role == "fenced" && !m.Keeper.Holds && !m.Keeper.Writable
}

// regionDown holds when none of a region's voters is reached and none of its nodes up.
func (p *Planner) regionDown(_ context.Context, c plan.Call) (bool, string, error) {
	s := p.looking().Status()
	for _, v := range s.Quorum.Voters {
		if v.Region == c.Text("region") && v.Heard {
			return false, v.Node + " is heard", nil
		}
	}
	for _, n := range s.Nodes {
		if n.Region == c.Text("region") && n.Verdict != "down" {
			return false, fmt.Sprintf("node %s is %s", n.Node, n.Verdict), nil
		}
	}
	return s.Quorum.Have, s.Quorum.Why, nil
}

func (p *Planner) regionUp(_ context.Context, c plan.Call) (bool, string, error) {
	for _, v := range p.looking().Status().Quorum.Voters {
		if v.Region == c.Text("region") && v.HearsUs {
			return true, v.Node + " is heard and hears us", nil
		}
	}
	return false, "no coordinator there is heard", nil
}

// leaseIs holds when the lease of a service is free, or held by somebody.
func (p *Planner) leaseIs(ctx context.Context, c plan.Call) (bool, string, error) {
	holder := p.leases.holder(c.Text("service"))
	seen := "nobody holds it"
	if holder != "" {
		seen = holder + " holds it"
	}
	if c.Text("state") == "free" {
		if holder != "" && c.Variant == plan.Ungraceful && p.leadsAgain(ctx, c, c.Text("service"), holder) {
			return false, seen, fault.New("fail over", c.Text("service"), fmt.Errorf("%w: %s serves again", plan.ErrNeedless, holder), "")
		}
		return holder == "", seen, nil
	}
	want := c.Text("holder")
	return holder != "" && (want == "" || holder == want), seen, nil
}

// noPrimaryYet holds for a service of which no member has ever claimed to be the primary.
func (p *Planner) noPrimaryYet(ctx context.Context, c plan.Call) (bool, string, error) {
	record, err := p.tenureOf(ctx, c.Text("service"))
	if err != nil || record.Primary == "" {
		return err == nil, "nobody was", err
	}
	return false, fmt.Sprintf("%s was, in tenure %d: single_server_failure has another one take over", record.Primary, record.Epoch), nil
}

// serves holds when a member answers, and takes writes if it must. One that most regions hold
// down is not waited for once it does not hold the lease: it died after it was promoted. While
// it holds the lease the verdict may be from before that.
func (p *Planner) serves(ctx context.Context, c plan.Call) (bool, string, error) {
	service, name := c.Text("service"), c.Text("member")
	if name == "" {
		if name = p.leases.holder(service); name == "" {
			return false, "nobody holds the lease", nil
		}
	}
	m, err := p.member(service, name)
	if err == nil && m.Verdict == "down" {
		var without bool
		if without, err = p.leases.without(ctx, service, name); err == nil && without {
			err = fmt.Errorf("%w: %s does not hold the lease of %s any more, and is down: %s", plan.ErrHopeless, name, service, m.Why)
		}
	}
	switch {
	case err != nil:
		return false, "", err
	case m.SilentMillis > probeFresh.Milliseconds() || m.Probe != "":
		return false, fmt.Sprintf("%s does not answer: %s", name, m.Probe), ctx.Err()
	case c.Boolean("writable") && (m.Keeper == nil || !m.Keeper.Writable || !m.Keeper.Holds):
		return false, name + " takes no writes", nil
	}
	return true, name + " answers", nil
}

// probeFresh is how old a probe's answer may be that shows that somebody serves.
const probeFresh = 2 * time.Second
