package failover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/config"
	"mahavishnu/coordinator"
	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/metrics"
)

// Metrics count what becomes of plans, and tell the figures of fronts.
type Metrics interface {
	SetFront(service string, f metrics.Front)
	SetPlanReady(plan string, ready bool)
	ExecutionTurned(plan, state string)
	StepEnded(plan, outcome string, took time.Duration)
	ApprovalRefused(plan string)
	NoticeTold(plan string)
}

// count moves the metrics of plans.
func (p *Planner) count(e plan.Event) {
	if p.metrics == nil {
		return
	}
	switch e.Kind {
	case plan.EventEvaluated:
		p.metrics.SetPlanReady(e.Plan, e.Text == "")
	case plan.EventState:
		p.metrics.ExecutionTurned(e.Plan, string(e.State))
	case plan.EventStepEnded:
		p.metrics.StepEnded(e.Plan, string(e.Outcome), e.Took)
	case plan.EventNotApproved:
		p.metrics.ApprovalRefused(e.Plan)
	}
}

// planEvents are how many events about plans may wait to be published.
const planEvents = 256

// note puts what everybody should hear of a plan where it is published from: telling
// must not hold up who carries plans out.
func (p *Planner) note(e plan.Event) {
	var outcome messages.Outcome
	switch {
	case e.Kind == plan.EventBroken, e.Kind == plan.EventUnreadable, e.Kind == plan.EventOverdue:
		outcome = messages.OutcomeFailed
	case e.Kind == plan.EventMended, e.Kind == plan.EventReadable:
		outcome = messages.OutcomeSucceeded
	case e.Kind == plan.EventNotApproved, e.Kind == plan.EventState && e.State == plan.StateRefused:
		outcome = messages.OutcomeRefused
	case e.Kind != plan.EventState:
		return
	case e.State == plan.StateExecuting, e.State == plan.StateRollingBack:
		outcome = messages.OutcomeStarted
	case e.State == plan.StateCommitted, e.State == plan.StateFailedOver:
		outcome = messages.OutcomeSucceeded
	default: // stopped, rolled back
		outcome = messages.OutcomeFailed
	}
	text := string(e.Kind)
	if e.State != "" {
		text += " " + string(e.State)
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	event := messages.Event{
		ID:   fmt.Sprintf("plan.%s.%s.%s.%d", e.Plan, e.Execution, e.Kind, e.At.UnixNano()),
		Time: e.At, Kind: messages.EventPlan, Region: p.cfg.Node.Region, Outcome: outcome,
		Source: e.Plan, Worker: p.cfg.Node.Name, Error: text,
	}
	select {
	case p.events <- event:
	default:
		p.log.Error().Str("plan", e.Plan).Msg("too many events about plans wait to be published; this one is in the log and the journal only")
	}
}

// publish sends events about plans until ctx ends.
func (p *Planner) publish(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-p.events:
			if err := p.bus.PublishEvent(ctx, e); err != nil && ctx.Err() == nil {
				p.log.Warn().Err(err).Str("plan", e.Source).Msg("an event about a plan was not published")
			}
		}
	}
}

// resolve fills in who fails over to whom, and who follows whom, as it is now: the
// service when there is only one, its primary, the member that would take over, and the
// one that should follow, or begin where nobody ever did.
func (p *Planner) resolve(ctx context.Context, definition *plan.Plan, given map[string]string) (map[string]string, error) {
	wants := func(name string, t plan.Type) bool {
		return definition.Parameters[name].Type == t && given[name] == ""
	}
	found := map[string]string{}
	service := given["service"]
	if wants("service", plan.TypeService) {
		if names := p.names(plan.TypeService); len(names) == 1 {
			service = names[0]
			found["service"] = service
		}
	}
	configured, ok := p.cfg.Failover.Services[service]
	missing := slices.DeleteFunc([]string{"from", "primary", "to", "member"}, func(name string) bool { return !wants(name, plan.TypeMember) })
	if !ok || len(missing) == 0 {
		return found, nil
	}
	record, err := p.tenureOf(ctx, service)
	if err != nil {
		return found, err
	}
	var seen messages.ServiceStatus
	if eyes := p.looking(); eyes != nil {
		all := eyes.Status().Services
		if i := slices.IndexFunc(all, func(s messages.ServiceStatus) bool { return s.Service == service }); i >= 0 {
			seen = all[i]
		}
	}
	if record.Primary == "" {
		if slices.Contains(missing, "member") { // who has most begins
			found["member"] = heirOf(seen, record, config.ModeAsynchronous, p.away)
		}
		if slices.Contains(missing, "from") || slices.Contains(missing, "primary") {
			return found, fault.WithHint(fmt.Errorf("%w: %s has had no primary", plan.ErrEarly, service), "mahavishnu failover execute "+FirstPrimary+" --set service="+service)
		}
		return found, nil
	}
	for _, name := range missing {
		switch name {
		case "from", "primary":
			found[name] = record.Primary
		case "to":
			found[name] = heirOf(seen, record, configured.Mode, p.away)
		case "member":
			found[name] = stray(seen, record)
		}
	}
	return found, nil
}

// notice has the plans evaluated when what they depend on has changed.
func (p *Planner) notice(s coordinator.Situation) {
	now := plansDependOn(s)
	p.mu.Lock()
	same := p.noticed == now
	p.noticed = now
	p.mu.Unlock()
	if !same {
		p.desk.Changed()
	}
}

// plansDependOn is who leads, who is reached, and how members are.
func plansDependOn(s coordinator.Situation) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Epoch, s.Status.Quorum.Have)
	for _, n := range s.Status.Nodes {
		fmt.Fprintln(&b, n.Node, n.Verdict)
	}
	for _, service := range s.Status.Services {
		for _, m := range service.Members {
			fmt.Fprintln(&b, service.Service, m.Member, m.Verdict)
			if k := m.Keeper; k != nil {
				fmt.Fprintln(&b, k.Role, k.Healthy, k.Holds, k.Writable)
			}
		}
	}
	return b.String()
}

// sensible tells which regions take over from which: those that have a copy of its
// repository, and where a plan moves no repository, or there are no copies that it could
// move, those that have members of its services.
func (p *Planner) sensible(definition *plan.Plan, params map[string]string) bool {
	from, to := params["from"], params["to"]
	if definition.Parameters["from"].Type != plan.TypeRegion || definition.Parameters["to"].Type != plan.TypeRegion {
		return true
	}
	if slices.Contains(p.cfg.Backup.Replication.Regions, config.RegionPair{Primary: from, Secondary: to}) {
		return true
	}
	if p.copied(from) && slices.ContainsFunc(definition.Steps, func(s plan.Step) bool { return slices.Contains(repositoryActions, s.Uses) }) {
		return false
	}
	for _, service := range p.cfg.Failover.Services {
		regions := map[string]bool{}
		for _, m := range service.Members {
			regions[m.Region] = true
		}
		if regions[from] && regions[to] {
			return true
		}
	}
	return false
}
