package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Submitted is what Submit did.
type Submitted struct {
	ID string
	// New is false when the job was there already, in whatever state.
	New bool
}

// Submit hands a job to the workers: it creates the record, then publishes the
// wake-up. A job without an id gets one.
//
// Submitting the same job again is harmless and completes what an interrupted
// Submit left undone; the same id with other work is ErrDifferentJob.
func (b *Bus) Submit(ctx context.Context, j messages.Job) (Submitted, error) {
	if j.ID == "" {
		j.ID = messages.NewID(j.Kind, b.c.clock.Now())
	}
	if err := j.Check(); err != nil {
		return Submitted{}, fault.New("submit job", j.ID, err, "")
	}
	records := b.Records()
	e, err := records.Create(ctx, messages.NewRecord(j, b.c.clock.Now()))
	isNew := err == nil
	if errors.Is(err, ErrExists) {
		e, err = records.Get(ctx, j.ID)
	}
	if err != nil {
		return Submitted{}, err
	}
	if !isNew && !e.Job.SameWork(j) {
		return Submitted{}, fault.New("submit job", j.ID, ErrDifferentJob, "choose another id, or leave it out")
	}
	if isNew || e.State == messages.StateQueued && e.Attempt == 0 {
		if err := b.wake(ctx, e.Job, j.ID); err != nil {
			return Submitted{}, err
		}
	}
	return Submitted{ID: j.ID, New: isNew}, nil
}

// Wake publishes a job's message again, for a record that waits without one.
// Calling it twice for the same revision publishes once.
func (b *Bus) Wake(ctx context.Context, e Entry) error {
	return b.wake(ctx, e.Job, fmt.Sprintf("%s@%d", e.Job.ID, e.Revision))
}

func (b *Bus) wake(ctx context.Context, j messages.Job, messageID string) error {
	payload, err := j.Payload()
	if err != nil {
		return fault.New("publish job", j.ID, err, "")
	}
	m := nats.NewMsg(j.Subject())
	m.Data = payload
	m.Header.Set(messages.HeaderJob, j.ID)
	_, err = b.publish(ctx, messages.StreamJobs, m, messageID)
	return err
}

// publish stores a message in a stream, once for a message id, and returns its
// sequence.
func (b *Bus) publish(ctx context.Context, stream string, m *nats.Msg, messageID string) (sequence uint64, err error) {
	err = b.c.persist(ctx, "publish to", m.Subject, func(ctx context.Context) error {
		ack, err := b.c.js.PublishMsg(ctx, m, jetstream.WithExpectStream(stream), jetstream.WithMsgID(messageID))
		if err == nil {
			sequence = ack.Sequence
		}
		return err
	})
	return sequence, err
}
