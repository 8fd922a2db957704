package bus

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

const eventPrefetch = 64

// EventMessage is an event as DR_EVENTS keeps it.
type EventMessage struct {
	messages.Event
	// Sequence is the event's place in the stream.
	Sequence uint64
}

// PublishEvent stores an event. Publishing it again stores it once.
func (b *Bus) PublishEvent(ctx context.Context, e messages.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fault.New("publish event", e.ID, err, "")
	}
	m := nats.NewMsg(e.Subject())
	m.Data = data
	if e.Job != "" {
		m.Header.Set(messages.HeaderJob, e.Job)
	}
	_, err = b.publish(ctx, messages.StreamEvents, m, e.ID)
	return err
}

// Events calls fn for every event, from where the provisioned reader of that
// name stopped last, until ctx ends or fn returns an error. An event counts as
// read when fn has returned nil, so after a crash the last may come twice.
func (b *Bus) Events(ctx context.Context, reader string, fn func(context.Context, EventMessage) error) error {
	name := messages.EventReaderName(reader)
	var consumer jetstream.Consumer
	err := b.c.persist(ctx, "bind to event reader", reader, func(ctx context.Context) error {
		var err error
		consumer, err = b.events.Consumer(ctx, name)
		return err
	})
	if err != nil {
		return err
	}
	source, err := consumer.Messages(jetstream.PullMaxMessages(eventPrefetch), jetstream.PullHeartbeat(pullHeartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return b.c.failed("read events for", reader, err)
	}
	defer b.c.handBack(source)
	for {
		m, err := source.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return b.c.failed("read events for", reader, err)
		}
		if err := b.deliverEvent(ctx, m, fn); err != nil {
			return err
		}
	}
}

func (b *Bus) deliverEvent(ctx context.Context, m jetstream.Msg, fn func(context.Context, EventMessage) error) error {
	event, err := decodeEvent(m)
	if err != nil {
		// It can never be read, by anyone: stepping over it is all there is,
		// and the caller's error handling sees a gap in the sequence.
		return errors.Join(b.c.failed("read event", "", err), m.TermWithReason(err.Error()))
	}
	if err := fn(ctx, event); err != nil {
		return errors.Join(err, m.Nak())
	}
	// What was done is acknowledged even when the reader stops in this moment.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	if err := m.DoubleAck(ctx); err != nil {
		return b.c.failed("acknowledge event", event.ID, err)
	}
	return nil
}

// handBack ends an iterator and returns what it fetched ahead, which would
// otherwise come back only after AckWait.
func (c *Conn) handBack(source jetstream.MessagesContext) {
	if !c.Connected() {
		source.Stop()
		return
	}
	source.Drain()
	for {
		m, err := source.Next()
		if err != nil {
			return
		}
		m.Nak() //nolint:errcheck // then it comes back after AckWait
	}
}

func decodeEvent(m jetstream.Msg) (EventMessage, error) {
	md, err := m.Metadata()
	if err != nil {
		return EventMessage{}, err
	}
	e, err := messages.DecodeEvent(m.Data())
	return EventMessage{Event: e, Sequence: md.Sequence.Stream}, err
}

// EventFilter picks events. Fields that are zero match everything.
type EventFilter struct {
	Kind    messages.Kind
	Outcome messages.Outcome
	Region  string
	Job     string
	// Since is when an event was stored at the earliest.
	Since time.Time
}

func (f EventFilter) subject() string {
	or := func(s string) string {
		if s == "" {
			return "*"
		}
		return s
	}
	return "dr.events." + or(string(f.Kind)) + "." + or(string(f.Outcome)) + "." + or(f.Region)
}

// ReadEvents calls fn for the stored events that match, oldest first.
func (b *Bus) ReadEvents(ctx context.Context, f EventFilter, fn func(EventMessage) error) error {
	return b.c.read(ctx, messages.StreamEvents, f.subject(), f.Since, func(m stored) error {
		e, err := messages.DecodeEvent(m.data)
		if err != nil {
			return fault.New("read event", m.subject, err, "")
		}
		if f.Job != "" && f.Job != e.Job {
			return nil
		}
		return fn(EventMessage{Event: e, Sequence: m.sequence})
	})
}

// FollowEvents calls fn for the events that match and are stored from now on,
// until ctx ends or fn returns an error. Reconnects are survived.
func (b *Bus) FollowEvents(ctx context.Context, f EventFilter, fn func(EventMessage) error) error {
	consumer, err := b.events.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{f.subject()}, DeliverPolicy: jetstream.DeliverNewPolicy,
	})
	if err != nil {
		return b.c.failed("follow events", "", err)
	}
	source, err := consumer.Messages()
	if err != nil {
		return b.c.failed("follow events", "", err)
	}
	defer source.Stop()
	for {
		m, err := source.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return b.c.failed("follow events", "", err)
		}
		e, err := decodeEvent(m)
		if err != nil {
			return fault.New("read event", m.Subject(), err, "")
		}
		if f.Job != "" && f.Job != e.Job {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

// PublishAudit appends an entry about a topic to DR_AUDIT, once for an id.
func (b *Bus) PublishAudit(ctx context.Context, topic, id string, entry []byte) error {
	m := nats.NewMsg(messages.AuditSubject(topic))
	m.Data = entry
	_, err := b.publish(ctx, messages.StreamAudit, m, id)
	return err
}
