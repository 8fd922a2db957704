package bus

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// PublishOpinions says what a coordinator thinks, to whoever listens now.
func (b *Bus) PublishOpinions(r messages.OpinionReport) error {
	return b.c.signal(messages.OpinionSubject(r.Region, r.Node), r)
}

// WatchOpinions calls fn for every coordinator's reports until ctx ends. What
// cannot be read is left out.
func (b *Bus) WatchOpinions(ctx context.Context, fn func(messages.OpinionReport)) error {
	return listen(ctx, b.c, messages.SubjectOpinions, messages.DecodeOpinionReport, fn)
}

// ServeCoordinator answers control requests for a coordinator, and those for all
// of them, until stop is called.
func (b *Bus) ServeCoordinator(node string, fn func(messages.ControlRequest) messages.ControlReply) (stop func(), err error) {
	one, err := b.serve(messages.CoordinatorControlSubject(node), fn)
	if err != nil {
		return nil, err
	}
	all, err := b.serve(messages.CoordinatorControlSubject(messages.AllCoordinators), fn)
	if err != nil {
		one()
		return nil, err
	}
	return func() { all(); one() }, nil
}

// AskCoordinators asks every coordinator and returns what was answered within
// patience, or as soon as expected answers have come (0: it is not known how many
// there are). Nobody there is no error but no answer.
func (c *Conn) AskCoordinators(ctx context.Context, req messages.ControlRequest, expected int, patience time.Duration) ([]messages.ControlReply, error) {
	subject := messages.CoordinatorControlSubject(messages.AllCoordinators)
	data, err := json.Marshal(req)
	if err != nil {
		return nil, fault.New("ask", subject, err, "")
	}
	inbox := c.nc.NewInbox()
	sub, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, c.failed("ask", subject, err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is gone
	if err := c.nc.PublishRequest(subject, inbox, data); err != nil {
		return nil, c.failed("ask", subject, err)
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var replies []messages.ControlReply
	for expected == 0 || len(replies) < expected {
		m, err := sub.NextMsgWithContext(waiting)
		switch {
		case ctx.Err() != nil:
			return replies, context.Cause(ctx)
		case errors.Is(err, nats.ErrNoResponders), waiting.Err() != nil:
			return replies, nil
		case err != nil:
			return replies, c.failed("ask", subject, err)
		case len(m.Data) == 0 && m.Header.Get("Status") == "503":
			return replies, nil // the server says that nobody listens
		}
		if reply, err := messages.DecodeControlReply(m.Data); err == nil {
			replies = append(replies, reply)
		}
	}
	return replies, nil
}

// AskCoordinators is [Conn.AskCoordinators].
func (b *Bus) AskCoordinators(ctx context.Context, req messages.ControlRequest, expected int, patience time.Duration) ([]messages.ControlReply, error) {
	return b.c.AskCoordinators(ctx, req, expected, patience)
}

// CommandMember tells the keeper of a service's member to do something and waits
// for how it went, as long as ctx lasts: a promotion takes as long as it takes.
// ErrNobody means that no keeper listens.
func (b *Bus) CommandMember(ctx context.Context, cmd messages.MemberCommand) (messages.MemberReply, error) {
	subject := messages.MemberControlSubject(cmd.Service, cmd.Member)
	data, err := json.Marshal(cmd)
	if err != nil {
		return messages.MemberReply{}, fault.New("command", subject, err, "")
	}
	m, err := b.c.nc.RequestWithContext(ctx, subject, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return messages.MemberReply{}, fault.New("command", subject, ErrNobody, "the node of this member runs no keeper; see: mahavishnu failover status")
	case err != nil:
		return messages.MemberReply{}, b.c.failed("command", subject, err)
	}
	reply, err := messages.DecodeMemberReply(m.Data)
	if err != nil {
		return messages.MemberReply{}, fault.New("command", subject, err, "")
	}
	return reply, nil
}

// ServeMember answers commands for a member until stop is called; each runs on a
// goroutine of its own, so that a fence need not wait for a promotion. stop waits
// for those that run.
func (b *Bus) ServeMember(ctx context.Context, service, member string, fn func(context.Context, messages.MemberCommand) messages.MemberReply) (stop func(), err error) {
	subject := messages.MemberControlSubject(service, member)
	ctx, cancel := context.WithCancel(ctx)
	running := make(chan struct{}, maxCommands)
	sub, err := b.c.nc.Subscribe(subject, func(m *nats.Msg) {
		select {
		case running <- struct{}{}:
		default:
			b.answer(m, messages.MemberReply{Message: "too many commands at once"})
			return
		}
		go func() {
			defer func() { <-running }()
			cmd, err := messages.DecodeMemberCommand(m.Data)
			if err != nil {
				b.answer(m, messages.MemberReply{Message: err.Error()})
				return
			}
			b.answer(m, fn(ctx, cmd))
		}()
	})
	if err == nil {
		if err = b.c.nc.FlushTimeout(requestTimeout); err != nil {
			sub.Unsubscribe() //nolint:errcheck // the connection is gone, and with it the subscription
		}
	}
	if err != nil {
		cancel()
		return nil, b.c.failed("listen to", subject, err)
	}
	return func() {
		sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is gone, and then it is too
		cancel()
		for range maxCommands { // every place is free once all that run have ended
			running <- struct{}{}
		}
	}, nil
}

// maxCommands is how many commands one keeper works on at once.
const maxCommands = 16

func (b *Bus) answer(m *nats.Msg, reply any) {
	if m.Reply == "" {
		return
	}
	if err := b.c.signal(m.Reply, reply); err != nil {
		b.c.notify(Notice{Kind: NoticeError, Server: b.c.nc.ConnectedUrlRedacted(), Err: err})
	}
}
