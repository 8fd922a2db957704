package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/messages"
)

const (
	// pollEvery is the longest time between two looks at the clock, so that a
	// clock that is set while the scheduler sleeps is noticed.
	pollEvery = 15 * time.Second
	// retryAfter is how soon what failed is tried again.
	retryAfter = 5 * time.Second
	// backwards is how far the clock may go back unnoticed.
	backwards = 2 * time.Minute
	// apart is the shortest time between two ticks: slots that come due within it
	// are worked on together.
	apart = 50 * time.Millisecond
	// parallel is how many targets are worked on at once.
	parallel = 16
)

// tick decides everything that is due now and returns when to come again.
// Whatever fails is reported and left for the next tick; only a lost
// leadership is returned.
func (s *Scheduler) tick(ctx context.Context, t *term) (time.Time, error) {
	now := s.clock.Now()
	if t.book.seen.Sub(now) > backwards {
		s.clockWentBack(t, now)
	}
	var ready []*entry
	for _, e := range t.book.entries {
		if !e.known || !e.state.Waiting.IsZero() || !e.state.Held.IsZero() || (!e.due.IsZero() && !e.due.After(now)) {
			ready = append(ready, e)
		}
	}
	failures := s.work(ctx, t, ready, now)
	if failures == nil {
		failures = s.saveSeen(ctx, t, now)
	}
	s.publishStatus(t, now)
	wake := now.Add(pollEvery)
	switch {
	case ctx.Err() != nil:
		return wake, context.Cause(ctx)
	case errors.Is(failures, ErrStale):
		return wake, failures
	case failures != nil:
		s.fail("decide slots", failures)
		return now.Add(retryAfter), nil
	}
	for _, e := range t.book.entries {
		if !e.due.IsZero() && e.due.Before(wake) {
			wake = e.due
		}
	}
	if soon := now.Add(apart); wake.Before(soon) {
		wake = soon
	}
	return wake, nil
}

// work decides the given entries, several at a time. One that fails does not
// keep the others from their slots.
func (s *Scheduler) work(ctx context.Context, t *term, ready []*entry, now time.Time) error {
	if len(ready) == 0 {
		return nil
	}
	slices.SortFunc(ready, func(a, b *entry) int { return a.due.Compare(b.due) })
	errs := make([]error, len(ready))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, e := range ready {
		group.Go(func() error {
			if err := s.workOn(ctx, t, e, now); err != nil {
				errs[i] = fmt.Errorf("schedule %s, source %s: %w", e.schedule.Name, e.target.Source, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// clockWentBack lets slots count from the present again, or from a little
// earlier: the clock may have passed a slot before anybody looked. Those that
// have a job already keep it, for their ids are taken. What the clock ran ahead
// of comes due again, so that a clock that was wrong for a while leaves no gap.
func (s *Scheduler) clockWentBack(t *term, now time.Time) {
	s.metrics.ClockWentBack()
	s.report(fmt.Errorf("the clock went back by %v, to %s: slots count from there", t.book.seen.Sub(now).Round(time.Second), now.UTC().Format(time.RFC3339)))
	for _, e := range t.book.entries {
		if from := now.Add(-punctual).UTC(); e.state.Decided.After(from) {
			e.state.Decided = from
		}
		if e.state.Waiting.After(now) {
			e.state.Waiting = time.Time{}
		}
		if e.state.Held.After(now) {
			e.state.Held = time.Time{}
		}
		e.known, e.dirty = false, true
	}
	t.book.seen = now.UTC()
}

// workOn decides the slots of one entry. It publishes first and saves last: a
// crash in between repeats what has the same ids.
func (s *Scheduler) workOn(ctx context.Context, t *term, e *entry, now time.Time) error {
	d := e.schedule.decide(e.target, e.state.Decided, now)
	state := e.state
	state.Decided = d.decided
	if err := s.tellMissed(ctx, e, d.missed); err != nil {
		return err
	}
	if err := s.tellSkipped(ctx, e, d.paused, SlotPaused, "the schedule is paused"); err != nil {
		return err
	}
	if e.schedule.Paused && !state.Waiting.IsZero() {
		if err := s.tellSkipped(ctx, e, []time.Time{state.Waiting}, SlotPaused, "the schedule was paused while the slot waited"); err != nil {
			return err
		}
		state.Waiting = time.Time{}
	}
	rests, err := s.hold(ctx, e, &state, &d, now)
	if err != nil {
		return err
	}
	if !rests && (!d.run.IsZero() || !state.Waiting.IsZero()) {
		if err := s.start(ctx, e, &state, d.run, now); err != nil {
			return err
		}
	}
	if state != e.state || e.dirty {
		if err := s.save(ctx, t, e, state); err != nil {
			return err
		}
	}
	e.next, e.due, e.known = d.next, d.due, true
	return nil
}

// start submits the slot, or the one that waits, as the overlap policy says.
func (s *Scheduler) start(ctx context.Context, e *entry, state *targetState, slot, now time.Time) error {
	running, err := s.running(ctx, e, *state)
	if err != nil {
		return err
	}
	switch {
	case running && slot.IsZero():
		return nil // the waiting slot waits on
	case running && e.schedule.Overlap == OverlapQueue:
		if !state.Waiting.IsZero() {
			err = s.tellSkipped(ctx, e, []time.Time{state.Waiting}, SlotOverlapped, "a newer slot took its place behind "+state.Job)
		}
		state.Waiting = slot
		return err
	case running:
		return s.tellSkipped(ctx, e, []time.Time{slot}, SlotOverlapped, "the previous run "+state.Job+" is not finished")
	}
	if !state.Waiting.IsZero() && !slot.IsZero() {
		if err := s.tellSkipped(ctx, e, []time.Time{state.Waiting}, SlotOverlapped, "a newer slot came due before the previous run finished"); err != nil {
			return err
		}
	}
	if slot.IsZero() {
		slot = state.Waiting
	}
	state.Waiting = time.Time{}
	return s.submit(ctx, e, state, slot, now)
}

// running reports whether the target's previous job is unfinished, when that matters.
func (s *Scheduler) running(ctx context.Context, e *entry, state targetState) (bool, error) {
	if e.schedule.Overlap == OverlapAllow || state.Job == "" {
		return false, nil
	}
	job, found, err := s.queue.State(ctx, state.Job)
	if err != nil {
		return false, fmt.Errorf("look up job %s: %w", state.Job, err)
	}
	return found && !job.Final(), nil
}

// submit makes the slot a job.
func (s *Scheduler) submit(ctx context.Context, e *entry, state *targetState, slot, now time.Time) error {
	job := e.schedule.job(e.target, slot)
	isNew, err := s.queue.Submit(ctx, job)
	var refused *messages.RefusedError
	switch {
	case errors.As(err, &refused):
		return s.tell(ctx, e, []time.Time{slot}, SlotRefused, messages.OutcomeMissed, "the job was refused: "+refused.Error())
	case err != nil:
		return fmt.Errorf("submit job %s: %w", job.ID, err)
	case isNew:
		s.metrics.SlotsDecided(e.schedule.Name, string(SlotSubmitted), 1)
		s.metrics.SlotLate(e.schedule.Name, now.Sub(e.schedule.due(e.target, slot)))
	default:
		s.metrics.SlotsDecided(e.schedule.Name, string(SlotRepeated), 1)
	}
	state.Job, state.Slot = job.ID, slot.UTC()
	return nil
}
