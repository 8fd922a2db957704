package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// book is a leader's copy of the stored state, with one entry per schedule and
// target of the plan.
type book struct {
	entries map[string]*entry // by store key
	// seen is the last time up to which everything was decided; zero when no
	// leader ever was.
	seen         time.Time
	seenRevision uint64
	seenSaved    time.Time
}

// entry is one schedule and one of its targets. Only one goroutine at a time
// works on an entry.
type entry struct {
	key      string
	schedule *Schedule
	target   Target
	state    targetState
	revision uint64
	// next is the slot to come and due when it is to be published; due is zero
	// when there is none. Both are unknown until the entry was worked on.
	next, due time.Time
	known     bool
	// dirty says that state differs from what is stored.
	dirty bool
}

// stored is a key of the store as it was read; ok is false when it could not be.
type stored struct {
	state    targetState
	revision uint64
	ok       bool
}

// open reads what earlier leaders left and brings it in line with the plan.
func (s *Scheduler) open(ctx context.Context, t *term) error {
	found := map[string]stored{}
	err := s.store.Each(ctx, storePrefix, func(key string, value []byte, revision uint64) error {
		var err error
		if key == seenKey {
			var seen seenState
			seen, err = decodeState[seenState](key, value)
			t.book.seen, t.book.seenRevision = seen.Seen, revision
		} else {
			var state targetState
			state, err = decodeState[targetState](key, value)
			found[key] = stored{state, revision, err == nil}
		}
		if err != nil { // a damaged note costs its slots a catch-up, not everybody the schedule
			s.fail("read state", err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read scheduler state: %w", err)
	}
	return s.enter(ctx, t, found)
}

// enter makes the book match the plan: targets that stay keep their state, new
// ones begin now, those that left are forgotten. A target appears once however
// often the plan is entered.
func (s *Scheduler) enter(ctx context.Context, t *term, found map[string]stored) error {
	plan := s.Plan()
	now := s.clock.Now()
	entries := map[string]*entry{}
	for i := range plan.Schedules {
		schedule := &plan.Schedules[i]
		for _, target := range schedule.Targets {
			key := targetKey(schedule.Name, target.Source)
			entries[key] = adopt(key, schedule, target, found[key], t.book.seen, now)
			delete(found, key)
		}
	}
	for key, old := range found {
		if old.revision == 0 {
			continue
		}
		if err := s.store.Delete(ctx, key, old.revision); err != nil {
			return fmt.Errorf("forget schedule %s of source %s: %w", old.state.Schedule, old.state.Source, err)
		}
	}
	t.book.entries = entries
	return nil
}

// adopt returns the entry of a target, from what is stored about it if anything.
func adopt(key string, schedule *Schedule, target Target, old stored, seen, now time.Time) *entry {
	e := &entry{key: key, schedule: schedule, target: target, state: old.state, revision: old.revision}
	definition := schedule.definition()
	switch {
	case !old.ok:
		e.state = targetState{Schedule: schedule.Name, Source: target.Source, Decided: now.UTC()}
	case old.state.Definition != definition && seen.After(old.state.Decided):
		// The new definition has no say about the time that the old one covered:
		// moving 02:00 to 08:00 at nine o'clock starts nothing.
		e.state.Decided = seen
	}
	e.state.Definition = definition
	e.dirty = !old.ok || e.state != old.state
	return e
}

// reenter is enter for a plan that changed while leading.
func (s *Scheduler) reenter(ctx context.Context, t *term) error {
	found := map[string]stored{}
	before := t.book.entries
	for key, e := range before {
		found[key] = stored{e.state, e.revision, true}
	}
	if err := s.enter(ctx, t, found); err != nil {
		return err
	}
	for key, e := range before {
		now := t.book.entries[key]
		if now == nil {
			s.metrics.NextSlot(e.schedule.Name, time.Time{}) // told again if others keep it
			continue
		}
		now.dirty = now.dirty || e.dirty
	}
	return nil
}

// save writes an entry's state.
func (s *Scheduler) save(ctx context.Context, t *term, e *entry, state targetState) error {
	state.Epoch, state.By = t.lease.Epoch(), s.holder
	value, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode scheduler state %s: %w", e.key, err)
	}
	revision, err := s.store.Save(ctx, e.key, value, e.revision)
	if err != nil {
		return fmt.Errorf("save scheduler state %s: %w", e.key, err)
	}
	e.state, e.revision, e.dirty = state, revision, false
	return nil
}

// seenEvery is how often the time up to which everything is decided is saved.
const seenEvery = time.Minute

// saveSeen notes that everything up to now is decided.
func (s *Scheduler) saveSeen(ctx context.Context, t *term, now time.Time) error {
	t.book.seen = now.UTC()
	if since := now.Sub(t.book.seenSaved); since >= 0 && since < seenEvery {
		return nil
	}
	value, err := json.Marshal(seenState{Seen: t.book.seen, Epoch: t.lease.Epoch(), By: s.holder})
	if err != nil {
		return fmt.Errorf("encode scheduler state %s: %w", seenKey, err)
	}
	revision, err := s.store.Save(ctx, seenKey, value, t.book.seenRevision)
	if err != nil {
		return fmt.Errorf("save scheduler state %s: %w", seenKey, err)
	}
	t.book.seenRevision, t.book.seenSaved = revision, now
	return nil
}
