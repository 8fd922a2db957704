package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// silentPatience is how long a keeper is given to obey whose node is silent: it may
// only be slow, and a failover must not wait for the dead.
const silentPatience = 300 * time.Millisecond

// ordering is an action that a keeper carries out. It is done once the keeper's member
// is as it should be and the keeper has seen the epoch: one that did not hear of it may
// still obey somebody older, so asking makes it hear.
func (p *Planner) ordering(verb messages.Verb, done func(messages.MemberState) bool) plan.Action {
	return plan.ActionFuncs{
		Checks: func(ctx context.Context, c plan.Call) (string, error) {
			m, err := p.member(c.Text("service"), c.Text("member"))
			switch {
			case err != nil:
				return "", err
			case m.Keeper == nil:
				return "", fault.New(string(verb), m.Member, errors.New("its keeper was never heard"), "run mahavishnu coordinator on node "+m.Node)
			}
			if silent := p.silence(m); silent != "" && !c.Undo {
				if verb == messages.VerbPromote {
					return "", fault.New(string(verb), m.Member, errors.New(silent), "run mahavishnu coordinator on node "+m.Node)
				}
				return silent, nil
			}
			if c.Undo { // before the day a member may be silent; one that things go back to may not
				if _, err := p.word(ctx, c, c.Text("service"), m.Member); err != nil {
					return "", err
				}
			}
			return fmt.Sprintf("its keeper is heard; it is %s", m.Keeper.State), nil
		},
		Does: func(ctx context.Context, c plan.Call) (string, error) {
			if verb == messages.VerbPromote && c.Variant == plan.Ungraceful && !c.Undo {
				var cancel context.CancelFunc
				ctx, cancel = p.unlessRetaken(ctx, c)
				defer cancel()
			}
			return p.order(ctx, verb, c)
		},
		IsDone: func(ctx context.Context, c plan.Call) (bool, error) {
			now, err := p.now(ctx, c, c.Text("service"), c.Text("member"))
			return err == nil && now.Epoch >= c.Epoch && done(now), err
		},
	}
}

// silence says that the keeper of a member is not heard now, "" when it is.
func (p *Planner) silence(m messages.MemberStatus) string {
	switch {
	case m.KeeperSilentMillis > 0:
		last := (time.Duration(m.KeeperSilentMillis) * time.Millisecond).Round(time.Second)
		return fmt.Sprintf("its keeper is silent for %v; the last that it said was that it is %s", last, m.Keeper.State)
	case p.away(m.Node):
		return fmt.Sprintf("node %s is not heard; the last that its keeper said was that it is %s", m.Node, m.Keeper.State)
	}
	return ""
}

// order commands a keeper.
func (p *Planner) order(ctx context.Context, verb messages.Verb, c plan.Call) (string, error) {
	m, err := p.member(c.Text("service"), c.Text("member"))
	if err != nil {
		return "", err
	}
	command := messages.MemberCommand{
		Verb: verb, Service: c.Text("service"), Member: m.Member, Epoch: c.Epoch, By: c.Node, Reason: c.Execution,
		PatienceMillis: c.Timeout.Milliseconds(),
	}
	if primary := c.Text("primary"); primary != "" {
		followed, err := p.member(command.Service, primary)
		if err != nil {
			return "", err
		}
		command.Primary, command.Address = followed.Member, followed.Address
	}
	if p.away(m.Node) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, silentPatience, fmt.Errorf("node %s is silent", m.Node))
		defer cancel()
		command.PatienceMillis = silentPatience.Milliseconds()
	}
	if verb == messages.VerbFence {
		var cancel context.CancelFunc
		ctx, cancel = p.untilStopped(ctx, command.Service, m)
		defer cancel()
	}
	if c.Undo && verb == messages.VerbPromote {
		var cancel context.CancelFunc
		ctx, cancel = p.unlessServed(ctx, command.Service, m.Member)
		defer cancel()
	}
	reply, err := p.bus.CommandMember(ctx, command)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", fault.New(string(verb), m.Member, context.Cause(ctx), "")
	case err != nil:
		return "", err
	case reply.Code == messages.MemberStale:
		return "", fault.New(string(verb), m.Member, fmt.Errorf("%w: %s", plan.ErrFenced, reply.Message), "")
	case !reply.OK:
		hint := reply.Hint
		if hint == "" {
			hint = "see: mahavishnu failover status"
		}
		return "", fault.New(string(verb), m.Member, errors.New(reply.Message), hint)
	}
	return fmt.Sprintf("%s is %s, tenure %d", m.Member, reply.State.State, reply.Tenure), nil
}

// untilStopped ends a while after a member has given up the lease: it has stopped then,
// whatever keeps its keeper from answering a fence, a disk that hangs say. One whose node is
// silent, too, is not waited for longer than an order takes to be sent.
func (p *Planner) untilStopped(ctx context.Context, service string, m messages.MemberStatus) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	patience := silentPatience
	if p.away(m.Node) {
		patience = stoppedEvery
	}
	go func() {
		defer close(ended)
		for clock.Or(p.clock).Sleep(ctx, patience) == nil {
			if p.leases.holder(service) != m.Member {
				cancel(errors.New("it does not hold the lease any more, and does not say whether it could do the rest"))
			}
			patience = stoppedEvery
		}
	}()
	return ctx, func() { cancel(nil); <-ended }
}

// stoppedEvery is how often it is looked whether a member has given up the lease.
const stoppedEvery = 50 * time.Millisecond

// unlessServed ends when another member holds the service's lease and takes writes: whoever
// brings the old primary back then waits for what does not come, and the
// member that serves has to be stopped first, or left alone.
func (p *Planner) unlessServed(ctx context.Context, service, member string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if holder := p.leases.holder(service); holder != "" && holder != member {
				reply, err := p.bus.CommandMember(ctx, messages.MemberCommand{Verb: messages.VerbStatus, Service: service, Member: holder})
				if s := reply.State; err == nil && s.Holds && s.Writable {
					cancel(fault.WithHint(fmt.Errorf("%s serves, tenure %d", holder, s.Tenure), "leave it so: mahavishnu failover commit"))
					return
				}
			}
			if clock.Or(p.clock).Sleep(ctx, servedEvery) != nil {
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); <-ended }
}

// servedEvery is how often it is looked whether another member serves.
const servedEvery = 500 * time.Millisecond

// away reports whether a node's heartbeats are missed.
func (p *Planner) away(node string) bool {
	nodes := p.looking().Status().Nodes
	i := slices.IndexFunc(nodes, func(n messages.NodeStatus) bool { return n.Node == node })
	return i < 0 || nodes[i].State == "down"
}
