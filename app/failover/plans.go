package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// ServerFailure is the plan that a dead primary starts by itself.
const ServerFailure = "single_server_failure"

// FirstPrimary is the plan that gives a new service its first primary.
const FirstPrimary = "first_primary"

// Options say what plans need.
type Options struct {
	Config *config.Config
	Bus    *bus.Bus
	Host   Host
	// Timing is that of the leases of services.
	Timing messages.LeaseTiming
	// Copies gives up soon on a storage that does not answer; Patient is the same for what
	// takes hours.
	Copies, Patient Copies
	Metrics         Metrics
	Log             zerolog.Logger
	Clock           clock.Clock
}

// Planner is what a leading coordinator does about verdicts: it starts plans, carries
// them out, and answers those who ask it to. It is the coordinator's reactor.
type Planner struct {
	cfg     *config.Config
	bus     *bus.Bus
	records keeper.Records
	leases  *leaseViews
	desk    *plan.Desk
	routes  map[string]Routes
	log     zerolog.Logger
	audit   func(ctx context.Context, topic, id string, entry []byte) error
	metrics Metrics
	// regions are what plans changed about regions.
	regions regionRecords
	copies  Copies
	patient Copies // for what takes hours
	clock   clock.Clock
	events  chan messages.Event // wait to be published

	mu      sync.Mutex
	eyes    Eyes
	noticed string // what plans were last evaluated for; see notice
	// left says of members, with their service, that follow nobody and are not tried again
	// yet, why.
	left map[string]string
	// unled says of services that nobody leads why nothing is done about it.
	unled map[string]complaint
}

// Eyes are what actions and conditions see of the world: the coordinator.
type Eyes interface {
	Status() messages.CoordinatorStatus
	Reacting(what string)
}

// Start makes the ways that lead clients to whom a service's lease belongs, and what
// plans need. Nothing is decided before [Planner.Look].
func Start(ctx context.Context, o Options) (*Planner, error) {
	f := o.Config.Failover
	routes := map[string]Routes{}
	for _, name := range slices.Sorted(maps.Keys(f.Services)) {
		r, err := NewRoutes(ctx, f, f.Services[name], RoutesOptions{
			Service: name, DataDir: o.Config.Node.DataDir, Clock: o.Clock,
			OnLag: func(place string, err error) {
				o.Log.Warn().Err(err).Str("service", name).Str("place", place).Msg("a place that leads clients did not take a change that others did")
			},
		})
		if err != nil {
			return nil, err
		}
		routes[name] = r
	}
	p, err := newPlanner(o, routes)
	if err != nil {
		return nil, err
	}
	o.Host.Launch("events of plans", p.publish)
	o.Host.Launch("plan files", p.rereadFiles)
	for _, name := range slices.Sorted(maps.Keys(f.Services)) {
		front := routes[name].Front
		observe := func(string, uint64) error { return nil }
		if front != nil {
			observe = front.Observe
			o.Host.Launch("front of "+name, front.Run)
			o.Host.Launch("front metrics of "+name, func(ctx context.Context) error { return p.measureFront(ctx, name, front) })
		}
		if routes[name].Router != nil {
			o.Host.Launch("routes of "+name, func(ctx context.Context) error { return p.keepRoutes(ctx, name) })
		}
		o.Host.Repeat("lease of "+name, func(ctx context.Context) error { return p.leases.follow(ctx, name, observe) })
	}
	o.Host.Launch("stream leaders", p.keepLeadersAway)
	return p, nil
}

// newPlanner reads the plans and binds what they use.
func newPlanner(o Options, routes map[string]Routes) (*Planner, error) {
	store, err := o.Bus.Store(messages.BucketLeases)
	if err != nil {
		return nil, err
	}
	f := o.Config.Failover
	p := &Planner{
		cfg: o.Config, bus: o.Bus, records: keeper.BusRecords(store), regions: regionRecords{store, o.Clock}, routes: routes,
		leases: newLeaseViews(store, o.Timing, o.Clock),
		log:    o.Log.With().Str("part", "plans").Logger(), audit: o.Bus.PublishAudit,
		copies: o.Copies, patient: o.Patient,
		clock: o.Clock, metrics: o.Metrics, events: make(chan messages.Event, planEvents),
	}
	registry := plan.Standard()
	if err := p.bind(registry); err != nil {
		return nil, err
	}
	approvers, err := approvers(f)
	if err != nil {
		return nil, err
	}
	executor, err := plan.NewExecutor(plan.Options{
		Journal: plan.FromBus(store), Registry: registry, Node: o.Config.Node.Name, Approvers: approvers,
		Window: f.CommitWindow.Std(), Names: p.names, Resolve: p.resolve, Suits: p.suits, Sensible: p.sensible, Tell: p.tell, Audit: p.auditEntry, Clock: o.Clock,
	})
	if err != nil {
		return nil, err
	}
	plans, wrong := p.readFiles(registry)
	if plans == nil {
		return nil, wrong
	}
	p.desk = plan.NewDesk(executor, plan.DeskOptions{
		Plans: plans, Reload: func() (plan.Plans, error) { return plan.All(registry, f.Plans) }, Trouble: wrong, Keep: f.KeepExecutions,
		ConfirmStopped: p.confirmStopped,
		Failed:         func(err error) { p.log.Warn().Err(err).Msg("plans") },
	})
	return p, nil
}

// approvers are who may approve plans.
func approvers(f config.Failover) (map[string]plan.PublicKey, error) {
	all := map[string]plan.PublicKey{}
	for name, a := range f.Approvers {
		key, err := plan.ParsePublicKey(a.PublicKey)
		if err != nil {
			return nil, fault.New("read the key of approver", name, err, "see failover.approvers in the configuration")
		}
		all[name] = key
	}
	return all, nil
}

// names are the services, members and regions that plans may speak of.
func (p *Planner) names(t plan.Type) []string {
	switch t {
	case plan.TypeService:
		return slices.Sorted(maps.Keys(p.cfg.Failover.Services))
	case plan.TypeRegion:
		return p.cfg.Regions
	case plan.TypeMember:
		all := map[string]bool{}
		for _, s := range p.cfg.Failover.Services {
			for name := range s.Members {
				all[name] = true
			}
		}
		return slices.Sorted(maps.Keys(all))
	}
	return nil
}

// Lead implements coordinator.Leader: it goes on with what a leader before began, and
// answers requests, for as long as the leadership lasts.
func (p *Planner) Lead(ctx context.Context, epoch uint64) error {
	stop, err := p.bus.ServePlans(ctx, func(ctx context.Context, request []byte) []byte {
		var reply plan.Reply
		q, err := plan.DecodeRequest(request)
		if err != nil {
			reply = plan.Reply{Error: err.Error()}
		} else {
			reply = p.desk.Handle(ctx, q)
		}
		data, err := json.Marshal(reply)
		if err != nil {
			p.log.Error().Err(err).Msg("a reply about plans cannot be written")
		}
		return data
	})
	if err != nil {
		return err
	}
	defer stop()
	var beside sync.WaitGroup
	defer p.forgive()
	defer beside.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	beside.Go(func() { p.reunite(ctx) })
	beside.Go(func() { p.vigil(ctx) })
	return p.desk.Lead(ctx, epoch)
}

// Alive implements coordinator.Vital: a plan whose step hangs is carried on by another leader.
func (p *Planner) Alive() bool { return p.desk.Executor().Alive() }

// React implements coordinator.Reactor: the death of a primary starts its plan.
func (p *Planner) React(ctx context.Context, s coordinator.Situation) error {
	p.notice(s)
	var errs []error
	for _, service := range s.Status.Services {
		configured, ok := p.cfg.Failover.Services[service.Service]
		if !ok {
			continue // the plan's hot standby: it is watched, and has no other member
		}
		errs = append(errs, p.consider(ctx, service, configured))
	}
	return errors.Join(errs...)
}

// consider starts the plan when the last primary of a service is gone and another member
// can take over. What keeps it from that it complains of.
func (p *Planner) consider(ctx context.Context, service messages.ServiceStatus, configured config.FailoverService) error {
	if !slices.ContainsFunc(service.Members, gone) && p.leases.idle(service.Service) == 0 {
		p.complain(service.Service, complaint{})
		return nil
	}
	record, err := p.tenureOf(ctx, service.Service)
	if err != nil || record.Primary == "" {
		return err // nobody was ever the primary: nobody can take over from it
	}
	primary := find(service, record.Primary)
	if primary == nil {
		return p.masterless(ctx, service, record)
	}
	lost, why, err := p.lost(ctx, service.Service, *primary)
	if err != nil {
		return err
	}
	if !lost {
		p.complain(service.Service, complaint{})
		return nil
	}
	if moving, err := p.moving(ctx, configured.Members[record.Primary].Region); err != nil || moving {
		return err
	}
	heir := heirOf(service, record, configured.Mode, p.away)
	if heir == "" {
		p.complain(service.Service, complaint{heirless, leftAlone(service, configured, record.Primary, why)})
		return nil
	}
	definition, err := p.desk.Plans().Get(ServerFailure)
	if err != nil {
		return err
	}
	if definition.Start != plan.Automatic {
		p.complain(service.Service, complaint{byPeople, fmt.Sprintf("the primary of %s, %s, is gone (%s), and %s waits for a person: %s",
			service.Service, record.Primary, why, ServerFailure, byHand(service.Service, record.Primary, heir))})
		return nil
	}
	_, err = p.desk.Start(ctx, plan.Order{
		Plan: definition, Trigger: plan.Automatic, By: p.cfg.Node.Name, Reason: why,
		Params: map[string]string{"service": service.Service, "from": record.Primary, "to": heir},
	})
	switch {
	case err == nil, errors.Is(err, plan.ErrBusy): // it is under way, or a person decides about what is
		p.complain(service.Service, complaint{about: underWay})
		return nil
	case errors.Is(err, plan.ErrTooSoon):
		p.complain(service.Service, complaint{tooOften, fmt.Sprintf("nothing is done yet about the primary of %s, %s, which is gone: %v; a person need not wait: %s; why it is gone: %s",
			service.Service, record.Primary, err, byHand(service.Service, record.Primary, heir), why)})
		return nil
	}
	return err
}

// find is a member of a service as it is seen; nil when there is none.
func find(service messages.ServiceStatus, member string) *messages.MemberStatus {
	i := slices.IndexFunc(service.Members, func(m messages.MemberStatus) bool { return m.Member == member })
	if i < 0 {
		return nil
	}
	return &service.Members[i]
}

// tell says what happens with plans.
func (p *Planner) tell(e plan.Event) {
	p.count(e)
	p.note(e)
	if e.Kind == plan.EventEvaluated {
		return // only a change is news
	}
	level := zerolog.InfoLevel
	if e.Outcome == plan.OutcomeFailed || e.Kind == plan.EventBroken || e.Kind == plan.EventOverdue {
		level = zerolog.WarnLevel
	}
	p.log.WithLevel(level).Str("event", string(e.Kind)).Str("execution", e.Execution).Str("plan", e.Plan).Str("step", e.Step).
		Str("state", string(e.State)).Str("outcome", string(e.Outcome)).Dur("took_ms", e.Took).Msg(e.Text)
	if eyes := p.looking(); eyes != nil && e.Kind != plan.EventBroken && e.Kind != plan.EventMended {
		what := ""
		if !e.State.Final() {
			what = fmt.Sprintf("%s, %s", e.Execution, e.State)
			if e.Step != "" {
				what += ", step " + e.Step
			}
		}
		eyes.Reacting(what)
	}
}

func (p *Planner) looking() Eyes {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.eyes
}

// Look says who sees the world.
func (p *Planner) Look(e Eyes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.eyes = e
}

// auditTopic is under which audit entries about failover are kept.
const auditTopic = "failover"

func (p *Planner) auditEntry(ctx context.Context, e plan.AuditEntry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	id := fmt.Sprintf("%s.%s.%s.%s.%d", e.Execution, e.Action, e.Step, e.By, e.At.UnixNano())
	ctx, cancel := context.WithTimeout(ctx, auditTime)
	defer cancel()
	return p.audit(ctx, auditTopic, id, data)
}

const auditTime = 10 * time.Second
