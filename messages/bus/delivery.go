package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Delivery is a message of DR_JOBS in one worker's hands. The server gives it
// to another worker when it hears nothing for AckWait.
//
// Neither Extend nor Ack is fenced by the server: they work on the message,
// whoever holds it now. A worker that lost its claim on the record must not
// call them.
type Delivery struct {
	Subject string
	Data    []byte
	// Sequence is the message's in DR_JOBS.
	Sequence uint64
	// Stored is when the stream took the message, by the server's clock.
	Stored time.Time
	// Delivered counts deliveries, this one included. Deliveries that found no
	// free slot count too, so it says nothing about attempts.
	Delivered uint64
	// ByHand says that nobody made a record for the job: this message is the
	// first that is known of it, unless it names a job that is there already.
	ByHand bool
	// ReplyTo is where the sender wants to hear what became of the job, or "".
	ReplyTo string

	b       *Bus
	reply   string
	ackWait time.Duration
}

func newDelivery(b *Bus, m jetstream.Msg, ackWait time.Duration) *Delivery {
	d := &Delivery{
		Subject: m.Subject(), Data: m.Data(), ReplyTo: m.Headers().Get(messages.HeaderReplyTo),
		ByHand: m.Headers().Get(messages.HeaderJob) == "",
		b:      b, reply: m.Reply(), ackWait: ackWait,
	}
	if md, err := m.Metadata(); err == nil { // only messages that no consumer delivered have none
		d.Sequence, d.Stored, d.Delivered = md.Sequence.Stream, md.Timestamp, md.NumDelivered
	}
	return d
}

// Job reads the message. A job without an id gets the one of its place in the
// stream. Errors are *messages.RefusedError: bury the message.
func (d *Delivery) Job() (messages.Job, error) {
	return parse(d.Subject, d.Data, d.Stored, d.Sequence)
}

func parse(subject string, data []byte, at time.Time, sequence uint64) (messages.Job, error) {
	job, err := messages.Parse(subject, data)
	if err == nil && job.ID == "" {
		job.ID = messages.AdHocID(at, sequence)
	}
	return job, err
}

// AckWait is how long the message is held after the delivery and after each
// Extend. Extend at a third of it.
func (d *Delivery) AckWait() time.Duration { return d.ackWait }

// Extend holds the message for another AckWait. It is one request: when the
// server does not answer before ctx ends, it fails, and the caller decides how
// many failures it lives with.
func (d *Delivery) Extend(ctx context.Context) error {
	return d.ask(ctx, "extend", "+WPI")
}

// Ack says that the message is done with, and waits until the server has
// written that down. It repeats itself while the server does not answer.
func (d *Delivery) Ack(ctx context.Context) error {
	return d.insist(ctx, "acknowledge", "+ACK")
}

// HandBack gives the message to another worker, or to this one again, after a
// delay. It costs nothing but the delivery count.
func (d *Delivery) HandBack(ctx context.Context, delay time.Duration) error {
	body := "-NAK"
	if delay > 0 {
		body = fmt.Sprintf(`-NAK {"delay": %d}`, delay.Nanoseconds())
	}
	return d.insist(ctx, "hand back", body)
}

// Bury publishes a dead letter with the message's payload and then takes the
// message off the queue. Repeating it after an error makes no second letter.
// Job and attempts may be zero when the message was never understood.
func (d *Delivery) Bury(ctx context.Context, cause messages.DeadCause, reason, job string, attempts uint64) error {
	letter := messages.NewDeadLetter(cause, d.Subject, d.Data, reason, d.b.c.clock.Now())
	letter.Job, letter.Attempts, letter.MessageSequence = job, attempts, d.Sequence
	if _, err := d.b.Dead().Publish(ctx, letter); err != nil {
		return err
	}
	return d.Ack(ctx)
}

// Reply tells the sender what became of the job, if it wants to know. Nothing
// is stored, and nobody may be listening any more.
func (d *Delivery) Reply(v any) error {
	if d.ReplyTo == "" {
		return nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fault.New("reply to", d.ReplyTo, err, "")
	}
	if err := d.b.c.nc.Publish(d.ReplyTo, data); err != nil {
		return d.b.c.failed("reply to", d.ReplyTo, err)
	}
	return nil
}

func (d *Delivery) insist(ctx context.Context, op, body string) error {
	return d.b.c.persist(ctx, op, d.object(), func(ctx context.Context) error { return d.request(ctx, body) })
}

func (d *Delivery) ask(ctx context.Context, op, body string) error {
	if err := d.request(ctx, body); err != nil {
		return d.b.c.failed(op, d.object(), err)
	}
	return nil
}

func (d *Delivery) request(ctx context.Context, body string) error {
	_, err := d.b.c.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: d.reply, Data: []byte(body)})
	return err
}

func (d *Delivery) object() string { return fmt.Sprintf("message %d of %s", d.Sequence, d.Subject) }
