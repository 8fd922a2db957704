package worker

import (
	"context"
	"errors"
	"fmt"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// Cancel stops a job and returns its record: cancelled at once when the job was
// waiting, still running when a worker has it, which stops within seconds.
func Cancel(ctx context.Context, b *bus.Bus, c clock.Clock, id, by, reason string) (messages.Record, error) {
	now := clock.Or(c).Now()
	entry, err := b.Records().Change(ctx, id, func(r messages.Record) (messages.Record, error) {
		return r.RequestCancel(now, by, reason)
	})
	switch {
	case errors.Is(err, messages.ErrFinished):
		return entry.Record, fault.New("cancel job", id, fmt.Errorf("it is %s already", entry.State), "")
	case err != nil:
		return messages.Record{}, err
	case entry.State == messages.StateCancelled:
		return entry.Record, b.PublishEvent(ctx, messages.NewEvent(entry.Record, messages.OutcomeCancelled, now))
	}
	_, err = b.ControlJob(ctx, messages.ControlRequest{Verb: messages.VerbCancel, Job: id, By: by, Reason: reason})
	if err != nil && !errors.Is(err, bus.ErrNobody) { // nobody: the worker's next heartbeat reads the record
		return entry.Record, err
	}
	return entry.Record, nil
}
