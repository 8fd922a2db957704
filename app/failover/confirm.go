package failover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// confirmPatience is how long a keeper has to believe a person: it may be in the middle of an attempt
// to stop its member.
const confirmPatience = 10 * time.Second

// confirmStopped passes a person's word on to a member's keeper: that the member, which could
// not be stopped, was stopped by hand. Everybody is told who said so, and why.
func (p *Planner) confirmStopped(ctx context.Context, epoch uint64, q plan.Request) (string, error) {
	name := q.Service + "/" + q.Member
	refuse := func(err error, hint string) (string, error) {
		return "", fault.New("count as stopped", name, err, hint)
	}
	m, err := p.member(q.Service, q.Member)
	if err != nil {
		return "", err
	}
	if q.By == "" || q.Reason == "" {
		return refuse(fmt.Errorf("%w: who says so, and what was done, is not said", plan.ErrRefused), "--reason WHAT-WAS-DONE")
	}
	within, cancel := context.WithTimeoutCause(ctx, confirmPatience, fmt.Errorf("its keeper does not answer within %v", confirmPatience))
	defer cancel()
	reply, err := p.bus.CommandMember(within, messages.MemberCommand{
		Verb: messages.VerbConfirmStopped, Service: q.Service, Member: q.Member, Epoch: epoch,
		PatienceMillis: confirmPatience.Milliseconds(), By: q.By, Reason: q.Reason,
	})
	const silent = "a keeper that does not run renews no lease: the service fails over when that has lapsed, see mahavishnu failover status"
	switch {
	case err != nil && within.Err() != nil:
		return refuse(context.Cause(within), silent)
	case err != nil:
		return refuse(err, silent)
	case reply.Code == messages.MemberStale:
		return refuse(fmt.Errorf("%w: %s", plan.ErrFenced, reply.Message), "")
	case !reply.OK:
		return refuse(fmt.Errorf("%w: %s", plan.ErrRefused, reply.Message), cmp.Or(reply.Hint, p.handOver(q.Service, m)))
	}
	text := fmt.Sprintf("%s says that %s was stopped by hand (%s): it counts as stopped, and others may take over", q.By, name, q.Reason)
	p.log.Warn().Str("event", "notice").Str("service", q.Service).Str("member", q.Member).Msg(text)
	if p.metrics != nil {
		p.metrics.NoticeTold(string(q.Ask))
	}
	err = p.bus.PublishEvent(ctx, messages.Event{
		ID: fmt.Sprintf("notice.%s.%s.%d.%d", q.Ask, name, epoch, reply.Tenure), Time: p.clock.Now().UTC(),
		Kind: messages.EventPlan, Region: p.cfg.Node.Region, Outcome: messages.OutcomeNotice,
		Source: string(q.Ask), Worker: p.cfg.Node.Name, Error: text,
	})
	if err != nil {
		return "", fault.New("tell everybody of", name, errors.Join(err, errors.New(text)), "")
	}
	return text, nil
}

// handOver is what to type to have a primary that works stopped, another taking its place;
// "" for a member that takes no writes, or has nobody to follow it.
func (p *Planner) handOver(service string, m messages.MemberStatus) string {
	others := without(slices.Sorted(maps.Keys(p.cfg.Failover.Services[service].Members)), m.Member)
	if m.Keeper == nil || !m.Keeper.Holds || len(others) == 0 {
		return ""
	}
	return "to have another take its place, and stop it: mahavishnu failover execute " + ServerFailure + " --graceful --set service=" + service + " --set to=" + others[0]
}
