package bus

import (
	"context"
	"errors"
	"fmt"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Edit replaces what is not empty in a letter's message.
type Edit struct {
	Subject string
	Payload []byte
}

// Redrive gives a letter's job back to the workers and removes the letter. A
// job with a record starts over with all its attempts; the attempt number goes
// on growing. What is still wrong is a *messages.RefusedError and changes nothing.
func (d *Dead) Redrive(ctx context.Context, sequence uint64, edit Edit) (Submitted, error) {
	l, err := d.Get(ctx, sequence)
	if err != nil {
		return Submitted{}, err
	}
	object := fmt.Sprintf("dead letter %d", sequence)
	if edit.Subject != "" {
		l.Subject = edit.Subject
	}
	switch {
	case len(edit.Payload) > 0:
		l.Payload = edit.Payload
	case l.Truncated:
		return Submitted{}, fault.New("redrive", object, fmt.Errorf("only the first %d of %d bytes of its payload were kept", len(l.Payload), l.Size), "give the whole payload with --payload")
	case l.Payload == nil:
		return Submitted{}, fault.New("redrive", object, errors.New("its payload was not kept"), "give the payload with --payload")
	}
	job, err := messages.Parse(l.Subject, l.Payload)
	if err != nil {
		return Submitted{}, fault.New("redrive", object, err, "give a corrected payload with --payload, or subject with --subject")
	}
	job.ID = l.Job
	if !messages.ValidID(job.ID) {
		job.ID = messages.AdHocID(l.Time, l.MessageSequence)
	}
	done, err := d.restart(ctx, job, edit.Subject != "" || len(edit.Payload) > 0)
	if err != nil {
		return Submitted{}, err
	}
	if l.Cause == messages.DeadMaxDeliveries { // its message lies in the queue, and no consumer delivers it
		if err := d.b.Drop(ctx, l.MessageSequence); err != nil {
			return done, err
		}
	}
	return done, d.Remove(ctx, sequence)
}

// restart submits a job, or puts the one with its id back in the queue. An
// edited job replaces what the record says of it.
func (d *Dead) restart(ctx context.Context, job messages.Job, edited bool) (Submitted, error) {
	records := d.b.Records()
	now := d.b.c.clock.Now()
	e, err := records.Change(ctx, job.ID, func(r messages.Record) (messages.Record, error) {
		if r.Job.Kind != job.Kind {
			return r, fault.New("redrive job", job.ID, ErrDifferentJob, "submit it as a new job")
		}
		if edited {
			r.Job = job
		}
		return r.Redrive(now, "redriven from its dead letter")
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return d.b.Submit(ctx, job)
	case errors.Is(err, messages.ErrNotFinal):
		// An earlier redrive got this far: the record waits, a message may be
		// missing. One too many is harmless.
	case err != nil:
		return Submitted{}, err
	}
	if err := d.b.Wake(ctx, e); err != nil {
		return Submitted{}, err
	}
	return Submitted{ID: job.ID}, d.b.PublishEvent(ctx, messages.NewEvent(e.Record, messages.OutcomeRedriven, now))
}

// Revive gives a failed, dead or cancelled job back to the workers as it is,
// with all its attempts, and removes its letters. Should it fail half-way, the
// record waits, and the reconciler wakes it.
func (b *Bus) Revive(ctx context.Context, id, note string) (Entry, error) {
	now := b.c.clock.Now()
	e, err := b.Records().Change(ctx, id, func(r messages.Record) (messages.Record, error) { return r.Redrive(now, note) })
	if err != nil {
		return e, err
	}
	if err := b.Wake(ctx, e); err != nil {
		return e, err
	}
	if err := b.PublishEvent(ctx, messages.NewEvent(e.Record, messages.OutcomeRedriven, now)); err != nil {
		return e, err
	}
	_, err = b.Dead().Purge(ctx, DeadFilter{Job: id})
	return e, err
}
