package scheduler

import (
	"cmp"
	"slices"
	"time"
)

// Status is what a scheduler is doing, for people.
type Status struct {
	// Leading is false, and the rest empty, while another one leads.
	Leading bool   `json:"leading"`
	Epoch   uint64 `json:"epoch,omitempty"`
	// Upcoming is sorted by due time.
	Upcoming []Upcoming `json:"upcoming,omitempty"`
}

// Upcoming is the next slot of a schedule and source.
type Upcoming struct {
	Schedule string `json:"schedule"`
	Source   string `json:"source"`
	Paused   bool   `json:"paused,omitempty"`
	// Rests is why no jobs are made for the source, or the copy, although the schedule is
	// not paused: what a plan changed about its region.
	Rests string `json:"rests,omitempty"`
	// Slot is zero when there is none; Due is Slot with its jitter.
	Slot time.Time `json:"slot,omitzero"`
	Due  time.Time `json:"due,omitzero"`
	// LastJob is the last job submitted, LastSlot its slot.
	LastJob  string    `json:"last_job,omitempty"`
	LastSlot time.Time `json:"last_slot,omitzero"`
	// Waiting is a slot that waits for LastJob to finish.
	Waiting time.Time `json:"waiting,omitzero"`
	// Held is a slot that waits for the end of the rest.
	Held time.Time `json:"held,omitzero"`
}

// Status returns what the scheduler is doing, as of its last look at the clock.
func (s *Scheduler) Status() Status {
	s.mu.Lock()
	status := s.status
	s.mu.Unlock()
	status.Upcoming = slices.Clone(status.Upcoming)
	slices.SortFunc(status.Upcoming, func(a, b Upcoming) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Schedule, b.Schedule), cmp.Compare(a.Source, b.Source))
	})
	return status
}

func (s *Scheduler) setStatus(status Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// crowd is how many targets make it worth publishing the status once a second
// only.
const crowd = 1000

// publishStatus makes the book visible to Status and to the metrics.
func (s *Scheduler) publishStatus(t *term, now time.Time) {
	if since := now.Sub(t.told); len(t.book.entries) > crowd && since >= 0 && since < time.Second {
		return
	}
	t.told = now
	status := Status{Leading: true, Epoch: t.lease.Epoch(), Upcoming: make([]Upcoming, 0, len(t.book.entries))}
	next := map[string]time.Time{}
	for _, e := range t.book.entries {
		status.Upcoming = append(status.Upcoming, Upcoming{
			Schedule: e.schedule.Name, Source: e.target.Source, Paused: e.schedule.Paused,
			Slot: e.next, Due: e.due, LastJob: e.state.Job, LastSlot: e.state.Slot, Waiting: e.state.Waiting,
			Rests: s.rests(e.target), Held: e.state.Held,
		})
		if first, ok := next[e.schedule.Name]; !ok || first.IsZero() || (!e.due.IsZero() && e.due.Before(first)) {
			next[e.schedule.Name] = e.due
		}
	}
	s.setStatus(status)
	for schedule, at := range next {
		s.metrics.NextSlot(schedule, at)
	}
}
