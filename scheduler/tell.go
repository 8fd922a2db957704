package scheduler

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"mahavishnu/messages"
)

// lookBack is how many missed slots are looked up before they are reported.
const lookBack = 8

// tellMissed counts slots that nobody was there for. One that has a job after
// all, because a leader died before it could note so, is not missed.
func (s *Scheduler) tellMissed(ctx context.Context, e *entry, slots []time.Time) error {
	var missed []time.Time
	for i, slot := range slots {
		if len(slots)-i <= lookBack {
			id := SlotID(e.schedule.Name, e.target.Source, slot)
			_, found, err := s.queue.State(ctx, id)
			if err != nil {
				return fmt.Errorf("look up job %s: %w", id, err)
			}
			if found {
				s.metrics.SlotsDecided(e.schedule.Name, string(SlotRepeated), 1)
				continue
			}
		}
		missed = append(missed, slot)
	}
	return s.tell(ctx, e, missed, SlotMissed, messages.OutcomeMissed, "no scheduler was there in time")
}

func (s *Scheduler) tellSkipped(ctx context.Context, e *entry, slots []time.Time, outcome SlotOutcome, why string) error {
	return s.tell(ctx, e, slots, outcome, messages.OutcomeSkipped, why)
}

// tell publishes one event about slots that became no job, then counts them.
// The event's id is that of the newest slot, so that telling it again after a
// crash is telling it once.
func (s *Scheduler) tell(ctx context.Context, e *entry, slots []time.Time, outcome SlotOutcome, o messages.Outcome, why string) error {
	if len(slots) == 0 {
		return nil
	}
	first, last := slots[0], slots[len(slots)-1]
	id := SlotID(e.schedule.Name, e.target.Source, last)
	zone := e.schedule.zone()
	text := fmt.Sprintf("slot %s of schedule %s: %s", formatWall(last, zone), e.schedule.Name, why)
	if len(slots) > 1 {
		text = fmt.Sprintf("%d slots of schedule %s, from %s to %s: %s", len(slots), e.schedule.Name, formatWall(first, zone), formatWall(last, zone), why)
	}
	err := s.events.Publish(ctx, messages.Event{
		ID: id + "." + string(outcome), Time: s.clock.Now().UTC(), Job: id, Kind: e.schedule.Kind,
		Region: e.target.Region, Outcome: o, Source: e.target.Source, Error: text,
		Labels: map[string]string{
			LabelSchedule: e.schedule.Name,
			LabelSlot:     last.UTC().Format(time.RFC3339),
			LabelFirst:    first.UTC().Format(time.RFC3339),
			LabelSlots:    strconv.Itoa(len(slots)),
		},
	})
	if err != nil {
		return fmt.Errorf("tell of %s slots: %w", outcome, err)
	}
	s.metrics.SlotsDecided(e.schedule.Name, string(outcome), len(slots))
	return nil
}
