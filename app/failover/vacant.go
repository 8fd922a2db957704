package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// vigilEvery is how often the leader looks whether nobody leads a service: that a lease has
// lapsed no verdict tells.
const vigilEvery = 500 * time.Millisecond

// idle is for how long a lease has not been written that nobody holds, as far as this
// machine has seen; 0 is one that somebody holds, or held a moment ago. One that was given
// back counts no sooner than one that lapsed: a keeper that was restarted has the same time
// to take it again.
func (l *leaseViews) idle(service string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := l.began
	if seen, ok := l.views[service]; ok {
		since = seen.changed
	}
	if quiet := l.clock.Now().Sub(since); quiet >= l.lapses {
		return quiet
	}
	return 0
}

// vacant is idle when the queue says so now, too: what this machine did not hear proves
// nothing.
func (l *leaseViews) vacant(ctx context.Context, service string) (time.Duration, error) {
	quiet := l.idle(service)
	if quiet == 0 {
		return 0, nil
	}
	v, err := l.store.Get(ctx, messages.ServiceLease(service))
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && v.Revision != l.views[service].revision {
		return 0, nil // it was written since
	}
	return quiet, nil
}

// lost tells whether the primary of a service serves no more, and why, in a sentence.
//
// Whatever its port answers, a member does not serve once nobody holds the lease: its keeper
// has stopped it before the lease lapsed, or if that was killed, its watchdog has. So it is
// gone when the node of its keeper is, too, and the lease has been free for failover.confirm
// longer than it takes to lapse. A keeper that was restarted meanwhile is heard, and takes the
// lease again. And it is gone, keeper or not, when nobody took the lease for so long that its
// keeper would have: whatever the reason is, nobody else is coming.
func (p *Planner) lost(ctx context.Context, service string, m messages.MemberStatus) (bool, string, error) {
	if gone(m) {
		return true, whyGone(m), nil
	}
	quiet, err := p.leases.vacant(ctx, service)
	if err != nil || quiet == 0 {
		return false, m.Why, err
	}
	free := fmt.Sprintf("nobody holds the lease of %s, which was last renewed %v ago, so that whoever held it has been stopped", service, quiet.Round(100*time.Millisecond))
	confirm := p.leases.lapses + p.cfg.Failover.EffectiveConfirm()
	switch {
	case quiet >= confirm && p.unheard(m):
		return true, fmt.Sprintf("%s; the keeper of %s is not heard from node %s", free, m.Member, m.Node), nil
	case quiet >= confirm+p.patience(service):
		return true, free + "; nobody takes it by itself", nil
	}
	return false, free + ", a moment ago", nil
}

// patience is after how long the keeper of a former primary would have brought it back.
func (p *Planner) patience(service string) time.Duration {
	retake := p.cfg.Failover.Services[service].Retake.Std()
	if retake == 0 {
		retake = keeper.DefaultRetake
	}
	return retake + p.leases.lapses
}

// unheard tells whether the keeper of a member is silent, and its node down for most
// regions, or not there any more.
func (p *Planner) unheard(m messages.MemberStatus) bool {
	nodes := p.looking().Status().Nodes
	i := slices.IndexFunc(nodes, func(n messages.NodeStatus) bool { return n.Node == m.Node })
	return i < 0 || m.KeeperSilentMillis > 0 && nodes[i].Verdict == "down"
}

// leadsAgain tells whether a member that was to be failed over from serves as before: there
// is no reason left to think it gone, and its keeper says now that it leads.
func (p *Planner) leadsAgain(ctx context.Context, c plan.Call, service, member string) bool {
	m, err := p.member(service, member)
	if err != nil {
		return false
	}
	if lost, _, err := p.lost(ctx, service, m); err != nil || lost {
		return false
	}
	now, err := p.word(ctx, c, service, member)
	return err == nil && now.Holds && now.State == string(keeper.Leading)
}

// unlessRetaken ends when another member leads than the one that is to be promoted: the
// lease was free, and the keeper of the old primary was quicker.
func (p *Planner) unlessRetaken(ctx context.Context, c plan.Call) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	service, member := c.Text("service"), c.Text("member")
	go func() {
		defer close(ended)
		for clock.Or(p.clock).Sleep(ctx, servedEvery) == nil {
			if holder := p.leases.holder(service); holder != "" && holder != member && p.leadsAgain(ctx, c, service, holder) {
				cancel(fmt.Errorf("%w: %s serves again", plan.ErrNeedless, holder))
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); <-ended }
}

// whyGone says why a member is gone that is.
func whyGone(m messages.MemberStatus) string {
	if m.Verdict == "down" || m.Keeper == nil {
		return m.Why
	}
	return "its keeper has stopped it: " + m.Keeper.Detail
}

// vigil looks for services that nobody leads, and for those whose primary is gone while a plan
// is at work, until ctx ends: when that plan stops no verdict changes.
func (p *Planner) vigil(ctx context.Context) {
	for p.clock.Sleep(ctx, vigilEvery) == nil {
		eyes := p.looking()
		if eyes == nil {
			continue
		}
		var seen []messages.ServiceStatus
		for name, configured := range p.cfg.Failover.Services {
			if p.leases.idle(name) == 0 && !p.pending(name) {
				continue
			}
			if seen == nil {
				seen = eyes.Status().Services
			}
			i := slices.IndexFunc(seen, func(s messages.ServiceStatus) bool { return s.Service == name })
			if i < 0 {
				continue
			}
			if err := p.consider(ctx, seen[i], configured); err != nil && ctx.Err() == nil {
				p.complain(name, complaint{unreadable, "nobody leads " + name + ", and what is to be done cannot be found out: " + err.Error()})
			}
		}
	}
}

// masterless complains of a service whose last primary is in no configuration any more: that
// one of the others takes over, whatever only that primary has, is for a person to say.
func (p *Planner) masterless(ctx context.Context, service messages.ServiceStatus, record keeper.Record) error {
	quiet, err := p.leases.vacant(ctx, service.Service)
	if err != nil || quiet == 0 {
		return err
	}
	heir := heirOf(service, record, p.cfg.Failover.Services[service.Service].Mode, p.away)
	from := heir
	for _, m := range service.Members {
		if m.Member != heir {
			from = m.Member // is stopped, and follows again
		}
	}
	text := fmt.Sprintf("nobody leads %s: its last primary, %s, is not in failover.services any more", service.Service, record.Primary)
	if heir == "" {
		text += ", and no other member can take over: put it back there, or mend one of the others"
	} else {
		text += "; have another one take over: " + byHand(service.Service, from, heir)
	}
	p.complain(service.Service, complaint{unknown, text})
	return nil
}

// complaint is why nobody serves a service and nothing is done about it.
type complaint struct {
	about string // what kind of reason it is: another one is news
	text  string
}

// Kinds of reasons.
const (
	heirless   = "nobody can take over"
	byPeople   = "people decide"
	tooOften   = "it failed over too often"
	unreadable = "nobody knows what is to be done"
	unknown    = "its last primary is not known"
	underWay   = "a plan is at work" // which is no complaint yet, and has no text
)

// complain notes what keeps a service from being served, for the status, and tells it in
// the log when it is news. An empty complaint takes it back.
func (p *Planner) complain(service string, c complaint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unled == nil {
		p.unled = map[string]complaint{}
	}
	news := p.unled[service].about != c.about
	p.unled[service] = c
	if news && c.text != "" {
		p.log.Error().Str("service", service).Msg(c.text)
	}
}

// pending tells whether the primary of a service was gone, and a plan at work, when that was
// looked at last.
func (p *Planner) pending(service string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unled[service].about == underWay
}

// complaints are all that there are, as sentences.
func (p *Planner) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, service := range slices.Sorted(maps.Keys(p.unled)) {
		if c := p.unled[service]; c.text != "" {
			all = append(all, c.text)
		}
	}
	for _, member := range slices.Sorted(maps.Keys(p.left)) {
		if why := p.left[member]; why != "" {
			all = append(all, why)
		}
	}
	return all
}

// forgive forgets what was complained of: who leads from now on sees for itself.
func (p *Planner) forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unled, p.left = nil, nil
}

// byHand is what to type to have a member of a service take over.
func byHand(service, from, to string) string {
	return "mahavishnu failover execute " + ServerFailure + " --set service=" + service + " --set from=" + from + " --set to=" + to
}

// leftAlone says in a sentence that nobody can take over from a primary that is gone, and
// what a person can do.
func leftAlone(service messages.ServiceStatus, configured config.FailoverService, primary, why string) string {
	text := "nobody serves " + service.Service + ": its last primary, " + primary + ", is gone (" + why + "), and no other member can take over"
	for _, m := range service.Members {
		if m.Member != primary {
			text += "; " + m.Member + " " + unfit(m, configured)
		}
	}
	return text + "; mend one of them; or, once the keeper of " + primary + " is heard, have that begin again: " + byHand(service.Service, primary, primary)
}

// unfit says why a member cannot take over.
func unfit(m messages.MemberStatus, configured config.FailoverService) string {
	switch k := m.Keeper; {
	case m.Verdict == "down":
		return "is down"
	case k == nil:
		return "has no keeper that was heard: run mahavishnu coordinator on node " + m.Node
	case !k.Healthy:
		return "is not well: " + k.Detail
	case k.Role != "standby":
		return "says that its role is " + k.Role
	}
	return "may lack what was written, mode " + configured.Mode
}
