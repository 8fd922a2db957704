package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// idTaken is the refusal of a message whose id belongs to another job.
func idTaken(job, other messages.Job) error {
	which := fmt.Sprintf("a %s job for region %s", other.Kind, other.Region)
	if spec, err := json.Marshal(other.Spec); err == nil && other.Kind == job.Kind && other.Region == job.Region {
		which = fmt.Sprintf("another %s job, %s", other.Kind, cut(string(spec), 200))
	}
	return &messages.RefusedError{
		Reason: fmt.Sprintf("the id %q belongs to %s already", job.ID, which),
		Field:  "id",
		Hint:   "leave the id out, or choose another",
	}
}

// refuseMessage makes a dead letter of a message that has no record: it could
// not be read, or its id is another job's.
func (p *Pool) refuseMessage(ctx context.Context, d *bus.Delivery, job string, why error) {
	kind, region, _ := messages.SplitJobSubject(d.Subject)
	event := messages.Event{
		ID:   fmt.Sprintf("message-%d.%s", d.Sequence, messages.OutcomeRefused),
		Time: p.Clock.Now().UTC(), Job: job, Kind: messages.Kind(kind), Region: region,
		Outcome: messages.OutcomeRefused, Worker: p.Node, Error: describe(why),
	}
	if err := p.bury(ctx, d, event, messages.DeadRefused, 0); err != nil {
		p.trouble("refuse", job, err) // it is delivered again after AckWait
	}
}

// refuseJob ends a job that could be read and can never run as it is written.
func (p *Pool) refuseJob(ctx context.Context, d *bus.Delivery, e bus.Entry, why error) error {
	dead, err := e.Exhaust(p.Clock.Now(), describe(why))
	if errors.Is(err, messages.ErrHeld) { // somebody else can do it after all
		p.handBack(ctx, d, e.Job.ID, heldDelay(d.AckWait(), d.AckWait()))
		return nil
	}
	if err != nil {
		return err
	}
	if e, err = p.write(ctx, bus.Entry{Record: dead, Revision: e.Revision}); err != nil {
		return err
	}
	event := messages.NewEvent(e.Record, messages.OutcomeRefused, p.Clock.Now())
	event.Error = describe(why)
	return p.bury(ctx, d, event, messages.DeadRefused, e.Attempt)
}

// bury tells of a refusal, keeps the message among the dead letters, and
// answers who asked.
func (p *Pool) bury(ctx context.Context, d *bus.Delivery, event messages.Event, cause messages.DeadCause, attempts uint64) error {
	p.Metrics.JobRefused(string(event.Kind), event.Region)
	if err := p.Bus.PublishEvent(ctx, event); err != nil {
		return err
	}
	if err := d.Bury(ctx, cause, event.Error, event.Job, attempts); err != nil {
		return err
	}
	p.reply(d, event)
	return nil
}

// reply tells who asked what became of the job. An answer that cannot be sent
// is no reason to do anything again.
func (p *Pool) reply(d *bus.Delivery, event messages.Event) {
	if err := d.Reply(event); err != nil {
		p.trouble("reply", event.Job, err)
	}
}

// tell publishes an event whose loss nobody depends on.
func (p *Pool) tell(ctx context.Context, event messages.Event) {
	if err := p.Bus.PublishEvent(ctx, event); err != nil {
		p.trouble("event", event.Job, err)
	}
}

// maxSentence bounds an error kept in a record, in bytes.
const maxSentence = 4 << 10

// describe is an error as people read it, with its hints.
func describe(err error) string {
	var refused *messages.RefusedError
	text := err.Error()
	if !errors.As(err, &refused) { // which tells its hint itself
		for _, hint := range fault.Hints(err) {
			text += "; " + hint
		}
	}
	return cut(text, maxSentence)
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 { // not inside a character
		n--
	}
	return s[:n] + "…"
}
