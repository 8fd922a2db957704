package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// wordPatience is how long a keeper has to say how its member is whose node is heard; one
// whose node is silent has silentPatience.
const wordPatience = time.Second

// word is how a member is by what its keeper says now; what it said earlier does not
// count. The keeper obeys nobody older than this coordinator from then on.
func (p *Planner) word(ctx context.Context, c plan.Call, service, member string) (messages.MemberState, error) {
	patience := wordPatience
	if m, err := p.member(service, member); err == nil && p.away(m.Node) {
		patience = silentPatience
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("its keeper does not answer within %v", patience))
	defer cancel()
	reply, err := p.bus.CommandMember(ctx, messages.MemberCommand{
		Verb: messages.VerbStatus, Service: service, Member: member, Epoch: c.Epoch,
		PatienceMillis: patience.Milliseconds(), By: c.Node, Reason: c.Execution,
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

// now is how a member is by what can be relied on: by what its keeper says now, or if that
// cannot be asked, by the lease of its service. Who does not hold that was stopped before,
// and can do nothing, whomever it obeys. What was heard earlier proves nothing; without
// either there is an error.
func (p *Planner) now(ctx context.Context, c plan.Call, service, member string) (messages.MemberState, error) {
	state, err := p.word(ctx, c, service, member)
	if err == nil || errors.Is(err, plan.ErrFenced) || ctx.Err() != nil {
		return state, err
	}
	look, cancel := context.WithTimeout(ctx, wordPatience)
	defer cancel()
	without, unread := p.leases.without(look, service, member)
	if unread != nil || !without {
		return state, errors.Join(err, unread)
	}
	return messages.MemberState{
		Service: service, Member: member, Role: "fenced", Epoch: c.Epoch,
		Detail: "its keeper does not answer, and it does not hold the lease",
	}, nil
}

// takesWrites tells whether a member holds its service's lease and takes writes. One whose
// keeper does not answer is not known to.
func (p *Planner) takesWrites(ctx context.Context, c plan.Call, service, member string) (bool, error) {
	now, err := p.now(ctx, c, service, member)
	if errors.Is(err, plan.ErrFenced) {
		return false, err
	}
	return err == nil && now.Holds && now.Writable, context.Cause(ctx)
}
