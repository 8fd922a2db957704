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
	err := d.b.c.read(ctx, messages.StreamDead, "", f.Since, func(m stored) error {
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
