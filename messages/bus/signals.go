package bus

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// PublishProgress says how far a job is, to whoever listens now.
func (b *Bus) PublishProgress(p messages.ProgressReport) error {
	return b.c.signal(messages.ProgressSubject(p.Job), p)
}

// WatchProgress calls fn for the progress of a job, or of all when id is "",
// until ctx ends. What cannot be read is left out.
func (b *Bus) WatchProgress(ctx context.Context, id string, fn func(messages.ProgressReport)) error {
	subject := messages.SubjectProgress
	if id != "" {
		subject = messages.ProgressSubject(id)
	}
	return listen(ctx, b.c, subject, messages.DecodeProgress, fn)
}

// PublishHeartbeat says that a node is alive, to whoever listens now.
func (b *Bus) PublishHeartbeat(h messages.Heartbeat) error {
	return b.c.signal(messages.HeartbeatSubject(h.Region, h.Node), h)
}

// WatchHeartbeats calls fn for every node's heartbeats until ctx ends. What
// cannot be read is left out.
func (c *Conn) WatchHeartbeats(ctx context.Context, fn func(messages.Heartbeat)) error {
	return listen(ctx, c, messages.SubjectHeartbeats, messages.DecodeHeartbeat, fn)
}

// WatchHeartbeats is [Conn.WatchHeartbeats].
func (b *Bus) WatchHeartbeats(ctx context.Context, fn func(messages.Heartbeat)) error {
	return b.c.WatchHeartbeats(ctx, fn)
}

// signal publishes without storing.
func (c *Conn) signal(subject string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = c.nc.Publish(subject, data)
	}
	if err != nil {
		return c.failed("publish to", subject, err)
	}
	return nil
}

// listen calls fn for what is published on a subject. It reports a
// subscription that the server refuses, so it returns only on errors and at
// the end of ctx.
func listen[T any](ctx context.Context, c *Conn, subject string, decode func([]byte) (T, error), fn func(T)) error {
	sub, err := c.nc.SubscribeSync(subject)
	if err != nil {
		return c.failed("listen to", subject, err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is gone
	for {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, nats.ErrSlowConsumer):
			continue // signals are about now: the lost ones are past
		case err != nil:
			return c.failed("listen to", subject, err)
		}
		if v, err := decode(m.Data); err == nil {
			fn(v)
		}
	}
}

// ControlJob asks the worker that runs a job for something. ErrNobody means
// that no worker runs it just now.
func (b *Bus) ControlJob(ctx context.Context, req messages.ControlRequest) (messages.ControlReply, error) {
	subject := messages.JobControlSubject(req.Job)
	data, err := json.Marshal(req)
	if err != nil {
		return messages.ControlReply{}, fault.New("ask", subject, err, "")
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := b.c.nc.RequestWithContext(ctx, subject, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return messages.ControlReply{}, fault.New("ask", subject, ErrNobody, "")
	case err != nil:
		return messages.ControlReply{}, b.c.failed("ask", subject, err)
	}
	reply, err := messages.DecodeControlReply(m.Data)
	if err != nil {
		return messages.ControlReply{}, fault.New("ask", subject, err, "")
	}
	return reply, nil
}

// ServeJob answers control requests for a job until stop is called. Requests
// are heard from the return on.
func (b *Bus) ServeJob(id string, fn func(messages.ControlRequest) messages.ControlReply) (stop func(), err error) {
	return b.serve(messages.JobControlSubject(id), fn)
}

func (b *Bus) serve(subject string, fn func(messages.ControlRequest) messages.ControlReply) (func(), error) {
	sub, err := b.c.nc.Subscribe(subject, func(m *nats.Msg) {
		var reply messages.ControlReply
		if req, err := messages.DecodeControlRequest(m.Data); err != nil {
			reply = messages.ControlReply{Message: err.Error()}
		} else {
			reply = fn(req)
		}
		if m.Reply == "" {
			return
		}
		if err := b.c.signal(m.Reply, reply); err != nil {
			b.c.notify(Notice{Kind: NoticeError, Server: b.c.nc.ConnectedUrlRedacted(), Err: err})
		}
	})
	if err != nil {
		return nil, b.c.failed("listen to", subject, err)
	}
	if err := b.c.nc.FlushTimeout(requestTimeout); err != nil {
		return nil, errors.Join(b.c.failed("listen to", subject, err), sub.Unsubscribe())
	}
	return func() {
		sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is gone, and then it is too
	}, nil
}
