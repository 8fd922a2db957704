package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"mahavishnu/messages"
)

const (
	directBatch    = 256
	directMaxBytes = 16 << 20 // well under the client's limit for a slow reader
)

// stored is a message as a stream keeps it.
type stored struct {
	subject  string
	sequence uint64
	time     time.Time
	header   nats.Header
	data     []byte
}

// directRequest asks a stream for its messages from a place on, without a
// consumer. nats.go has no call for it yet; the reply is a message for each,
// then one with status 204, or 404 when there are none.
type directRequest struct {
	Sequence  uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	Batch     int        `json:"batch"`
	MaxBytes  int        `json:"max_bytes"`
}

// read calls fn for the messages of a stream that match, oldest first. Any replica may answer, so the newest may be missing. fn
// may write to the stream.
func (c *Conn) read(ctx context.Context, stream, filter string, since time.Time, fn func(stored) error) error {
	if filter == "" {
		filter = ">"
	}
	req := directRequest{Sequence: 1, NextFor: filter, Batch: directBatch, MaxBytes: directMaxBytes}
	if !since.IsZero() {
		req.StartTime, req.Sequence = &since, 0
	}
	for {
		var batch []stored
		err := c.persist(ctx, "read stream", stream, func(ctx context.Context) error {
			var err error
			batch, err = c.readBatch(ctx, stream, req)
			return err
		})
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, m := range batch {
			if err := fn(m); err != nil {
				return err
			}
		}
		req.Sequence, req.StartTime = batch[len(batch)-1].sequence+1, nil
	}
}

func (c *Conn) readBatch(ctx context.Context, stream string, req directRequest) ([]stored, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	inbox := c.nc.NewInbox()
	sub, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is gone, and then it is too
	if err := c.nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, body); err != nil {
		return nil, err
	}
	var batch []stored
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			s, err := decodeStored(m)
			if err != nil {
				return nil, err
			}
			batch = append(batch, s)
		case "204", "404":
			return batch, nil
		case "503":
			return nil, nats.ErrNoResponders
		default:
			return nil, fmt.Errorf("the server answered %s %s", status, m.Header.Get("Description"))
		}
	}
}

func decodeStored(m *nats.Msg) (stored, error) {
	sequence, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return stored{}, fmt.Errorf("read stored message: sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return stored{}, fmt.Errorf("read stored message %d: time: %w", sequence, err)
	}
	return stored{subject: m.Header.Get("Nats-Subject"), sequence: sequence, time: at, header: m.Header, data: m.Data}, nil
}

// QueuedMessage is a message of DR_JOBS, waiting or being worked on.
type QueuedMessage struct {
	Sequence uint64
	Subject  string
	// Job is the id of its job; "" when the message cannot be understood.
	Job    string
	Stored time.Time
	// ByHand is the job of a message that was published without a record; its
	// kind is "" for every other one.
	ByHand messages.Job
}

// Queued calls fn for every message of DR_JOBS, oldest first.
func (b *Bus) Queued(ctx context.Context, fn func(QueuedMessage) error) error {
	return b.c.read(ctx, messages.StreamJobs, "", time.Time{}, func(m stored) error {
		q := QueuedMessage{Sequence: m.sequence, Subject: m.subject, Job: m.header.Get(messages.HeaderJob), Stored: m.time}
		if q.Job == "" {
			var refused *messages.RefusedError
			job, err := parse(m.subject, m.data, m.time, m.sequence)
			if err != nil && !errors.As(err, &refused) {
				return err
			}
			q.Job, q.ByHand = job.ID, job
		}
		return fn(q)
	})
}

// Drop deletes a message of DR_JOBS, such as one whose job is finished. A
// message that is gone already is no error.
func (b *Bus) Drop(ctx context.Context, sequence uint64) error {
	return b.deleteMessage(ctx, b.jobs, messages.StreamJobs, sequence)
}
