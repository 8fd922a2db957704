package scheduler

import (
	"iter"
	"time"
)

// Recurrence is a timing in a time zone: the pure function from an instant to
// the next slot. See the package documentation for the rule at the two clock
// changes of a year. The zero value is never due.
type Recurrence struct {
	Timing Timing
	Zone   *time.Location // nil means UTC
}

// Next returns the first slot after the given instant, in UTC; false when
// there is none.
func (r Recurrence) Next(after time.Time) (time.Time, bool) {
	after = after.UTC()
	next, ok := r.nextFirst(after)
	if r.Timing.hourly {
		if again, doubled := r.nextRepeated(after); doubled && (!ok || again.Before(next)) {
			return again, true
		}
	}
	return next, ok
}

// Slots yields the slots in (from, to], in order.
func (r Recurrence) Slots(from, to time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for at := from; ; {
			next, ok := r.Next(at)
			if !ok || next.After(to) || !yield(next) {
				return
			}
			at = next
		}
	}
}

// nextFirst returns the first slot after the instant when each wall-clock time
// counts once: the first time it is shown, or where it was jumped over, when
// the jump ends.
func (r Recurrence) nextFirst(after time.Time) (time.Time, bool) {
	zone := r.zone()
	wall := wallOf(after, zone)
	for {
		next, ok := r.Timing.next(wall)
		if !ok {
			return time.Time{}, false
		}
		// In the second pass of a doubled hour the wall clock points at
		// times that were shown before: step over them.
		if at := firstShown(next, zone); at.After(after) {
			return at, true
		}
		wall = next
	}
}

// nextRepeated returns the first slot after the instant that lies in the
// second pass of a doubled stretch.
func (r Recurrence) nextRepeated(after time.Time) (time.Time, bool) {
	for _, again := range repeats(after, r.zone()) {
		wall := again.from.Add(-time.Second)
		if passed := after.Add(again.offset); passed.After(wall) {
			wall = passed
		}
		next, ok := r.Timing.next(wall)
		if ok && next.Before(again.to) {
			return next.Add(-again.offset), true
		}
	}
	return time.Time{}, false
}

func (r Recurrence) zone() *time.Location {
	if r.Zone == nil {
		return time.UTC
	}
	return r.Zone
}
