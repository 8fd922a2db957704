package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// Where an island's own queue notes up to which of its events and dead letters were
// handed over, in its catalog's bucket.
const (
	keyHandover        = "handover.events"
	keyHandoverLetters = "handover.letters"
)

// errBusy says that a worker of the region still runs a job.
var errBusy = errors.New("a worker of the region is still at it")

// handover brings the contents of an island's own queue to the common one. Every step
// can be repeated: one that was interrupted is begun anew and loses and doubles
// nothing.
//
// Records come first and events after them: a follow-up of an event is a job that the
// region may have done already, and its record says so then.
type handover struct {
	from, to     *bus.Bus
	node, region string
	clock        clock.Clock
	log          zerolog.Logger
	done         handed
}

// handed counts what was brought over.
type handed struct {
	records int // of jobs that ended
	jobs    int // that are still to be done
	events  int
	letters int
}

func (h handed) counts() map[string]int {
	return map[string]int{"records": h.records, "jobs": h.jobs, "events": h.events, "letters": h.letters}
}

// run hands over. One process of the region does at a time.
func (h *handover) run(ctx context.Context, timing messages.LeaseTiming) (err error) {
	lease, err := h.from.Leases().Acquire(ctx, bus.LeaseOptions{Name: leaseHandover, Holder: h.node, Timing: timing})
	if err != nil {
		return err
	}
	defer func() {
		free, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		err = errors.Join(err, lease.Release(free))
	}()
	entries, err := h.from.Records().List(ctx, bus.Filter{})
	if err != nil {
		return err
	}
	slices.Reverse(entries) // oldest first
	for _, e := range entries {
		if err := h.record(ctx, e); err != nil {
			return fault.New("hand over job", e.Job.ID, err, "")
		}
	}
	for _, step := range []func(context.Context) error{h.events, h.letters, h.clear} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// record brings one job over: what became of it, or the job itself.
func (h *handover) record(ctx context.Context, e bus.Entry) error {
	now := h.clock.Now()
	switch {
	case e.State.Final():
		return h.finished(ctx, e)
	case e.State == messages.StateRunning && now.Before(e.LeaseUntil):
		return errBusy
	}
	_, err := h.to.Submit(ctx, e.Job)
	if errors.Is(err, bus.ErrDifferentJob) {
		h.log.Error().Err(err).Str("job", e.Job.ID).Msg("a job of the region's own queue cannot be handed over: its id is taken by another")
	} else if err != nil {
		return err
	}
	_, err = h.from.Records().Change(ctx, e.Job.ID, func(r messages.Record) (messages.Record, error) {
		return r.RequestCancel(now, h.node, "handed over when the region was no longer cut off")
	})
	if errors.Is(err, messages.ErrFinished) {
		err = nil
	}
	h.done.jobs++
	return err
}

// finished brings over what became of a job. Where the common queue has the same job,
// waiting for this region, it is done with it; an attempt that runs now, or an end that
// was reached there, stands.
func (h *handover) finished(ctx context.Context, e bus.Entry) error {
	_, err := h.to.Records().Create(ctx, e.Record)
	if errors.Is(err, bus.ErrExists) {
		errStands := errors.New("stands")
		_, err = h.to.Records().Change(ctx, e.Job.ID, func(there messages.Record) (messages.Record, error) {
			if there.State.Final() || there.State == messages.StateRunning || e.State != messages.StateSucceeded || !there.Job.SameWork(e.Job) {
				return there, errStands
			}
			done := e.Record
			done.Attempt = max(done.Attempt, there.Attempt) // a fencing token never gets smaller
			return done, nil
		})
		if errors.Is(err, errStands) {
			return nil
		}
	}
	if err == nil {
		h.done.records++
	}
	return err
}

// events brings over the journal, each event once but for the one that a crash may
// repeat.
func (h *handover) events(ctx context.Context) error {
	return h.after(ctx, keyHandover, func(last uint64, noted func(uint64) error) error {
		return h.from.ReadEvents(ctx, bus.EventFilter{}, func(m bus.EventMessage) error {
			if m.Sequence <= last {
				return nil
			}
			if err := h.to.PublishEvent(ctx, m.Event); err != nil {
				return err
			}
			h.done.events++
			return noted(m.Sequence)
		})
	})
}

// letters brings over what nobody could run.
func (h *handover) letters(ctx context.Context) error {
	return h.after(ctx, keyHandoverLetters, func(last uint64, noted func(uint64) error) error {
		letters, err := h.from.Dead().List(ctx, bus.DeadFilter{})
		if err != nil {
			return err
		}
		for _, l := range letters {
			if l.Sequence <= last {
				continue
			}
			if l.Cause == messages.DeadMaxDeliveries || l.Cause == messages.DeadTerminated {
				l.Cause = messages.DeadRefused // the message it speaks of stays behind
			}
			l.Reason += fmt.Sprintf(" (in the own queue of region %s, while it was cut off)", h.region)
			if _, err := h.to.Dead().Publish(ctx, l); err != nil {
				return err
			}
			h.done.letters++
			if err := noted(l.Sequence); err != nil {
				return err
			}
		}
		return nil
	})
}

// after calls fn with the sequence up to which a journal was handed over, and with what
// notes how far it is.
func (h *handover) after(ctx context.Context, key string, fn func(last uint64, noted func(uint64) error) error) error {
	store, err := h.from.Store(messages.BucketCatalog)
	if err != nil {
		return err
	}
	var last uint64
	v, err := store.Get(ctx, key)
	switch {
	case err == nil:
		last, err = strconv.ParseUint(string(v.Data), 10, 64)
	case errors.Is(err, bus.ErrNotFound):
		err = nil
	}
	if err != nil {
		return fault.New("read how much was handed over of", h.region, err, "")
	}
	return fn(last, func(sequence uint64) error {
		_, err := store.Put(ctx, key, strconv.AppendUint(nil, sequence, 10))
		return err
	})
}

// clear makes the region's own queue begin anew next time.
func (h *handover) clear(ctx context.Context) error {
	entries, err := h.from.Records().List(ctx, bus.Filter{})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := h.from.Records().Remove(ctx, e); err != nil {
			return err
		}
	}
	store, err := h.from.Store(messages.BucketCatalog)
	if err != nil {
		return err
	}
	var keys []string
	err = store.Each(ctx, "schedules.>", func(v bus.Value) error { keys = append(keys, v.Key); return nil })
	for _, key := range keys {
		if err == nil {
			err = store.Delete(ctx, key, 0)
		}
	}
	return err
}
