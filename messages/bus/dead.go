package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Dead is DR_DEAD: what nobody can run, with the reason.
type Dead struct{ b *Bus }

// Publish stores a letter, once for a message of DR_JOBS and a cause, and
// returns its sequence.
func (d *Dead) Publish(ctx context.Context, l messages.DeadLetter) (sequence uint64, err error) {
	data, err := json.Marshal(l)
	if err != nil {
		return 0, fault.New("publish dead letter for", l.Subject, err, "")
	}
	m := nats.NewMsg(l.DeadSubject())
	m.Data = data
	if l.Job != "" {
		m.Header.Set(messages.HeaderJob, l.Job)
	}
	id := fmt.Sprintf("%d.%s.%s.%d", l.MessageSequence, l.Cause, l.Job, l.Attempts)
	return d.b.publish(ctx, messages.StreamDead, m, id)
}

// DeadFilter picks letters. Fields that are zero match everything.
type DeadFilter struct {
	// Kind and Region are those of the original subject, as it was typed.
	Kind, Region string
	// Job is the id of the job.
	Job string
	// Since is when a letter was stored at the earliest.
	Since time.Time
	// Limit keeps the newest.
	Limit int
}

// List returns the letters that match, oldest first.
func (d *Dead) List(ctx context.Context, f DeadFilter) ([]messages.DeadLetter, error) {
	var letters []messages.DeadLetter
	err := d.b.c.read(ctx, messages.StreamDead, "", 0, f.Since, func(m stored) error {
		l := letter(m.subject, m.sequence, m.time, m.data)
		kind, region, _ := messages.SplitJobSubject(l.Subject)
		if f.Kind != "" && f.Kind != kind || f.Region != "" && f.Region != region || f.Job != "" && f.Job != l.Job {
			return nil
		}
		letters = append(letters, l)
		if f.Limit > 0 && len(letters) > f.Limit {
			letters = letters[1:]
		}
		return nil
	})
	return letters, err
}

// letter reads a message of DR_DEAD. What cannot be read is shown as it is: a
// dead letter is the last place to lose something.
func letter(subject string, sequence uint64, at time.Time, data []byte) messages.DeadLetter {
	l, err := messages.DecodeDeadLetter(subject, data)
	if err != nil {
		l = messages.NewDeadLetter(messages.DeadRefused, subject, data, "this dead letter cannot be read: "+err.Error(), at)
	}
	l.Sequence = sequence
	return l
}

// Get returns a letter, or ErrNotFound. The payload of a message that the
// server gave up is fetched from the queue, where it still lies.
func (d *Dead) Get(ctx context.Context, sequence uint64) (messages.DeadLetter, error) {
	m, err := d.b.get(ctx, d.b.dead, messages.StreamDead, sequence)
	if err != nil {
		return messages.DeadLetter{}, err
	}
	l := letter(m.Subject, m.Sequence, m.Time, m.Data)
	if l.Cause != messages.DeadMaxDeliveries && l.Cause != messages.DeadTerminated {
		return l, nil
	}
	original, err := d.b.get(ctx, d.b.jobs, messages.StreamJobs, l.MessageSequence)
	switch {
	case errors.Is(err, ErrNotFound):
		return l, nil
	case err != nil:
		return messages.DeadLetter{}, err
	}
	full := messages.NewDeadLetter(l.Cause, original.Subject, original.Data, l.Reason, l.Time)
	full.Sequence, full.Attempts, full.MessageSequence = l.Sequence, l.Attempts, l.MessageSequence
	return full, nil
}

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
	done, err := d.restart(ctx, job)
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

// restart submits a job, or puts the one with its id back in the queue.
func (d *Dead) restart(ctx context.Context, job messages.Job) (Submitted, error) {
	records := d.b.Records()
	now := d.b.c.clock.Now()
	e, err := records.Change(ctx, job.ID, func(r messages.Record) (messages.Record, error) {
		if r.Job.Kind != job.Kind {
			return r, fault.New("redrive job", job.ID, ErrDifferentJob, "submit it as a new job")
		}
		r.Job.Region, r.Job.Spec = job.Region, job.Spec
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

// Remove deletes a letter. One that is gone already is no error.
func (d *Dead) Remove(ctx context.Context, sequence uint64) error {
	return d.b.deleteMessage(ctx, d.b.dead, messages.StreamDead, sequence)
}

// Purge deletes the letters that match and returns how many.
func (d *Dead) Purge(ctx context.Context, f DeadFilter) (int, error) {
	letters, err := d.List(ctx, f)
	if err != nil {
		return 0, err
	}
	for i, l := range letters {
		if err := d.Remove(ctx, l.Sequence); err != nil {
			return i, err
		}
	}
	return len(letters), nil
}

func (b *Bus) get(ctx context.Context, s jetstream.Stream, name string, sequence uint64) (m *jetstream.RawStreamMsg, err error) {
	err = b.c.persist(ctx, "read", fmt.Sprintf("message %d of %s", sequence, name), func(ctx context.Context) error {
		var err error
		if m, err = s.GetMsg(ctx, sequence); errors.Is(err, jetstream.ErrMsgNotFound) {
			return ErrNotFound
		}
		return err
	})
	return m, err
}

// deleteMessage deletes a message; one that is gone already is no error.
func (b *Bus) deleteMessage(ctx context.Context, s jetstream.Stream, name string, sequence uint64) error {
	return b.c.persist(ctx, "delete", fmt.Sprintf("message %d of %s", sequence, name), func(ctx context.Context) error {
		err := s.DeleteMsg(ctx, sequence)
		if err == nil {
			return nil
		}
		if _, read := s.GetMsg(ctx, sequence); errors.Is(read, jetstream.ErrMsgNotFound) {
			return nil
		}
		return err
	})
}
