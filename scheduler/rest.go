package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mahavishnu/messages"
)

// regionsNow are what plans have changed about regions, as far as it is known.
func (s *Scheduler) regionsNow() messages.Regions {
	if all := s.moved.Load(); all != nil {
		return *all
	}
	return nil
}

// rests tells why no job is made for a target now; "" when one is.
func (s *Scheduler) rests(t Target) string {
	all := s.regionsNow()
	if r := all[t.Region]; r.Paused != nil {
		return fmt.Sprintf("region %s is paused by %s", t.Region, r.Paused.Execution)
	}
	if t.Copy != nil && isPrimary(all, t.Copy.From, t.Copy.To) {
		return fmt.Sprintf("the repository of region %s is in %s by %s", t.Copy.From, t.Copy.To, all[t.Copy.From].Repository.Execution)
	}
	return ""
}

// isPrimary tells whether the copy of a region's repository that another keeps is the
// primary now, to which nothing is copied.
func isPrimary(all messages.Regions, from, to string) bool {
	r := all[from].Repository
	return r != nil && r.To == to
}

// hold keeps the newest slot of a target that rests: it runs when the rest ends, if that
// is within the schedule's catch-up window. Every other slot is told as paused, once. It
// reports whether the target rests.
func (s *Scheduler) hold(ctx context.Context, e *entry, state *targetState, d *decision, now time.Time) (bool, error) {
	rests := s.rests(e.target) != ""
	if !state.Held.IsZero() {
		why := ""
		switch {
		case e.schedule.Paused:
			why = "the schedule was paused after its region"
		case !d.run.IsZero():
			why = "no jobs were made for its region, and a newer slot took its place"
		case now.Sub(e.schedule.due(e.target, state.Held)) > e.schedule.window():
			why = "no jobs were made for its region within the catch-up window"
		}
		if why != "" {
			if err := s.tellSkipped(ctx, e, []time.Time{state.Held}, SlotPaused, why); err != nil {
				return rests, err
			}
			state.Held = time.Time{}
		}
	}
	switch {
	case rests && !d.run.IsZero():
		state.Held, d.run = d.run.UTC(), time.Time{}
	case !rests && !state.Held.IsZero():
		d.run, state.Held = state.Held, time.Time{}
	}
	return rests, nil
}

// watchRegions follows what plans change about regions until ctx ends. Known is closed
// once it is known: who leads decides nothing before.
func (s *Scheduler) watchRegions(ctx context.Context, known chan<- struct{}) error {
	first := true
	for {
		err := s.regions.Follow(ctx, func(all messages.Regions) {
			s.moved.Store(&all)
			if first {
				first = false
				close(known)
			}
			select {
			case s.turned <- struct{}{}:
			default: // a change is noted already
			}
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.fail("follow regions", err)
		if err := s.clock.Sleep(ctx, retryAfter); err != nil {
			return err
		}
	}
}

// wanted leaves out follow-ups that would copy over a primary.
func (s *Scheduler) wanted(jobs []messages.Job) []messages.Job {
	all := s.regionsNow()
	return slices.DeleteFunc(jobs, func(job messages.Job) bool {
		spec, ok := job.Spec.(*messages.ReplicateSpec)
		return ok && isPrimary(all, spec.From, spec.To)
	})
}
