package scheduler

import "time"

// punctual is how late a slot may start and still count as on time. It covers
// a change of leader and a restart.
const punctual = 2 * time.Minute

// decision is what becomes of the slots of one target that came due.
type decision struct {
	// run is the slot to run; zero when there is none.
	run time.Time
	// missed are the slots that no scheduler was there to run in time, or that
	// run stands in for. Oldest first.
	missed []time.Time
	// paused are the slots that passed while the schedule was paused.
	paused []time.Time
	// decided is the last slot that needs no further thought.
	decided time.Time
	// next is the first slot after decided and due when it is to be published;
	// zero when there is none.
	next, due time.Time
}

// window is how late a slot may start.
func (s Schedule) window() time.Duration { return max(s.CatchUp, punctual) }

// decide looks at the slots after decided that are due now. It takes about two
// microseconds a slot.
func (s Schedule) decide(t Target, decided, now time.Time) decision {
	d := decision{decided: decided}
	window := s.window()
	for {
		slot, ok := s.Next(d.decided)
		if !ok {
			return d
		}
		due := s.due(t, slot)
		if due.After(now) {
			d.next, d.due = slot, due
			return d
		}
		d.decided = slot
		if s.Paused {
			d.paused = append(d.paused, slot)
			continue
		}
		// Of several slots the newest runs: what it captures is the present,
		// however many slots it stands for.
		if !d.run.IsZero() {
			d.missed = append(d.missed, d.run)
			d.run = time.Time{}
		}
		if now.Sub(due) <= window {
			d.run = slot
		} else {
			d.missed = append(d.missed, slot)
		}
	}
}
