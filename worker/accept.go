package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// claimTries is how often a claim is tried when the record changes under it.
const claimTries = 8

// claim is a record that this worker claimed, and who will do the job.
type claim struct {
	bus.Entry
	handler Handler
	at      time.Time // when it was made, on the monotonic clock
	// accepted says that the record was made by the claim: the job was sent by
	// hand.
	accepted bool
}

// accept turns a message into a claim. When it returns nil the message has been
// dealt with, or comes again by itself.
func (p *Pool) accept(ctx context.Context, d *bus.Delivery) *claim {
	ctx, cancel := context.WithTimeout(ctx, d.AckWait()/2)
	defer cancel()
	job, err := d.Job()
	if err != nil {
		p.refuseMessage(ctx, d, "", err)
		return nil
	}
	for range claimTries {
		c, err := p.claim(ctx, d, job)
		switch {
		case err == nil:
			return c
		case !errors.Is(err, bus.ErrConflict) && !errors.Is(err, bus.ErrExists):
			p.trouble("claim", job.ID, err)
			p.handBack(ctx, d, job.ID, p.Retry.Delay(int(min(d.Delivered, 100)), rand.Float64()))
			return nil
		}
	}
	p.handBack(ctx, d, job.ID, time.Second) // many want it: one of them has it now
	return nil
}

// claim tries once. Neither claim nor error means that the message needs no
// run; ErrConflict and ErrExists mean that somebody else was faster.
func (p *Pool) claim(ctx context.Context, d *bus.Delivery, job messages.Job) (*claim, error) {
	entry, err := p.Bus.Records().Get(ctx, job.ID)
	switch {
	case errors.Is(err, bus.ErrNotFound): // sent by hand: this message is all there is
		entry = bus.Entry{Record: messages.NewRecord(job, d.Stored)}
	case err != nil:
		return nil, err
	}
	if another(d, job, entry) {
		p.refuseMessage(ctx, d, "", idTaken(job, entry.Job))
		return nil, nil
	}
	if entry.State.Final() {
		return nil, p.settle(ctx, d, entry)
	}
	handler := p.Handlers[job.Kind]
	if err := p.check(handler, entry.Job); err != nil {
		return nil, p.refuseJob(ctx, d, entry, err)
	}
	if entry.Job.MaxAttempts == 0 {
		entry.Job.MaxAttempts = p.MaxAttempts
	}
	now, waiting := p.Clock.Now(), waitingSince(entry.Record)
	claimed, err := entry.Claim(p.Node, now, d.AckWait())
	if err != nil {
		return nil, p.notNow(ctx, d, entry, now, err)
	}
	accepted := entry.Revision == 0
	entry, err = p.write(ctx, bus.Entry{Record: claimed, Revision: entry.Revision})
	if err != nil {
		return nil, err
	}
	p.Metrics.JobStarted(job.Kind, job.Region, now.Sub(waiting))
	return &claim{Entry: entry, handler: handler, at: now, accepted: accepted}, nil
}

// another reports whether the message gives its job the id of another job. A
// message of ours does so only by kind or region; what it asks for may have
// been corrected in the record since, and the same goes for the message the
// record was made of.
func another(d *bus.Delivery, job messages.Job, e bus.Entry) bool {
	if !d.ByHand || e.Created.Equal(d.Stored) {
		return !e.State.Final() && (e.Job.Kind != job.Kind || e.Job.Region != job.Region)
	}
	return !e.Job.SameWork(job)
}

// write creates the record of a job sent by hand, or updates one.
func (p *Pool) write(ctx context.Context, e bus.Entry) (bus.Entry, error) {
	if e.Revision == 0 {
		return p.Bus.Records().Create(ctx, e.Record)
	}
	return p.Bus.Records().Update(ctx, e)
}

// check asks the handler whether the job can run at all.
func (p *Pool) check(h Handler, job messages.Job) error {
	if h == nil {
		return &messages.RefusedError{Reason: "this worker cannot do " + string(job.Kind) + " jobs", Field: "kind"}
	}
	return h.Check(job)
}

// waitingSince is when the job could have been started.
func waitingSince(r messages.Record) time.Time {
	since := r.Created
	if r.Attempt > 0 {
		since = r.Updated
	}
	if due := r.Due(); due.After(since) {
		since = due
	}
	return since
}

// notNow deals with a message whose record refused the claim.
func (p *Pool) notNow(ctx context.Context, d *bus.Delivery, e bus.Entry, now time.Time, err error) error {
	var refused *messages.NotClaimableError
	if !errors.As(err, &refused) {
		return err
	}
	switch {
	case errors.Is(err, messages.ErrHeld):
		p.handBack(ctx, d, e.Job.ID, heldDelay(refused.RetryAt.Sub(now), d.AckWait()))
		return nil
	case errors.Is(err, messages.ErrNotDue):
		return p.wait(ctx, d, e, refused.RetryAt.Sub(now))
	case errors.Is(err, messages.ErrExhausted), errors.Is(err, messages.ErrExpired):
		return p.exhaust(ctx, d, e, now, err)
	}
	return err
}

// heldDelay is when to look again at a job somebody else runs: when its lease
// may be over, spread a little. Clocks that disagree cannot make it long.
func heldDelay(left, ackWait time.Duration) time.Duration {
	left = min(max(left, 0), 2*ackWait)
	return left + time.Duration((0.01+0.04*rand.Float64())*float64(ackWait))
}

// wait hands the message back until the job is due, or parks the job.
func (p *Pool) wait(ctx context.Context, d *bus.Delivery, e bus.Entry, delay time.Duration) error {
	if e.Revision == 0 {
		var err error
		if e, err = p.write(ctx, e); err != nil {
			return err
		}
		p.tell(ctx, messages.NewEvent(e.Record, messages.OutcomeAccepted, p.Clock.Now()))
	}
	if delay <= p.ParkAfter {
		p.handBack(ctx, d, e.Job.ID, delay)
		return nil
	}
	return d.Ack(ctx)
}

// exhaust ends a job that may not be tried again.
func (p *Pool) exhaust(ctx context.Context, d *bus.Delivery, e bus.Entry, now time.Time, why error) error {
	reason := messages.ErrExpired.Error()
	if errors.Is(why, messages.ErrExhausted) {
		reason = fmt.Sprintf("%v after %d", messages.ErrExhausted, e.Job.Attempts())
		if e.State == messages.StateRunning {
			reason += "; in the last one worker " + e.Worker + " stopped answering"
		}
		if e.Error != "" {
			reason += "; the last error was: " + e.Error
		}
	}
	dead, err := e.Exhaust(now, reason)
	if err != nil {
		return err
	}
	if e, err = p.write(ctx, bus.Entry{Record: dead, Revision: e.Revision}); err != nil {
		return err
	}
	p.Metrics.JobEnded(e.Job.Kind, e.Job.Region, messages.OutcomeDead, 0)
	return p.settle(ctx, d, e)
}

// settle brings a message to its end whose record is final: the event is told
// (again, under the same id), then the message is acknowledged or buried. It
// completes what a worker that died right after its commit left undone.
func (p *Pool) settle(ctx context.Context, d *bus.Delivery, e bus.Entry) error {
	if d.Stored.After(e.Finished) { // a late double of a job long done: told already
		return d.Ack(ctx)
	}
	event := messages.NewEvent(e.Record, messages.Outcome(e.State), e.Finished)
	if err := p.Bus.PublishEvent(ctx, event); err != nil {
		return err
	}
	if err := p.bringHome(ctx, d, e.Record); err != nil {
		return err
	}
	p.reply(d, event)
	return nil
}

// bringHome takes the message of a finished job out of the queue.
func (p *Pool) bringHome(ctx context.Context, d *bus.Delivery, r messages.Record) error {
	switch r.State {
	case messages.StateDead:
		return d.Bury(ctx, messages.DeadExhausted, lastNote(r), r.Job.ID, r.Attempt)
	case messages.StateFailed:
		return d.Bury(ctx, messages.DeadFailed, lastNote(r), r.Job.ID, r.Attempt)
	default:
		return d.Ack(ctx)
	}
}

// lastNote is why the record is where it is.
func lastNote(r messages.Record) string {
	if n := len(r.History); n > 0 && r.History[n-1].Note != "" {
		return r.History[n-1].Note
	}
	return r.Error
}
