package scheduler

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/messages"
)

// errCrash is what every call returns once a world has crashed a scheduler.
var errCrash = errors.New("the process is gone")

// world is the outside of a scheduler in memory: the queue, the store and the
// events, shared by all schedulers of a test. It can fail or crash a scheduler
// before or after any of its calls.
type world struct {
	mu     sync.Mutex
	clock  *handClock
	jobs   map[string]messages.State
	order  []messages.Job
	values map[string]storedValue
	last   uint64
	events map[string]messages.Event
	told   []messages.Event

	refuse string // source whose jobs are refused
}

type storedValue struct {
	data     []byte
	revision uint64
}

func newWorld(start time.Time) *world {
	return &world{
		clock: newHandClock(start), jobs: map[string]messages.State{},
		values: map[string]storedValue{}, events: map[string]messages.Event{},
	}
}

// node is one scheduler process in a world.
type node struct {
	world *world
	// calls counts the calls to the outside; the one numbered crash (from 1)
	// never returns, and happens or not as crashAfter says.
	mu         sync.Mutex
	calls      int
	crash      int
	crashAfter bool
	gone       bool
	fail       error // every call returns it
}

func (n *node) call(do func() error) error {
	n.mu.Lock()
	n.calls++
	crashing := n.crash > 0 && n.calls == n.crash
	gone, fail := n.gone, n.fail
	n.gone = n.gone || crashing
	n.mu.Unlock()
	switch {
	case gone:
		return errCrash
	case fail != nil:
		return fail
	case crashing && !n.crashAfter:
		return errCrash
	}
	n.world.mu.Lock()
	err := do()
	n.world.mu.Unlock()
	if crashing {
		return errCrash
	}
	return err
}

func (n *node) Submit(_ context.Context, job messages.Job) (isNew bool, err error) {
	err = n.call(func() error {
		if err := job.Check(); err != nil {
			return err
		}
		if n.world.refuse != "" && job.Source() == n.world.refuse {
			return &messages.RefusedError{Reason: "no such source"}
		}
		if _, there := n.world.jobs[job.ID]; !there {
			isNew = true
			n.world.jobs[job.ID] = messages.StateQueued
			n.world.order = append(n.world.order, job)
		}
		return nil
	})
	return isNew, err
}

func (n *node) State(_ context.Context, id string) (state messages.State, found bool, err error) {
	err = n.call(func() error {
		state, found = n.world.jobs[id]
		return nil
	})
	return state, found, err
}

func (n *node) Each(_ context.Context, prefix string, fn func(string, []byte, uint64) error) error {
	return n.call(func() error {
		for key, v := range n.world.values {
			if strings.HasPrefix(key, prefix) {
				if err := fn(key, v.data, v.revision); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (n *node) Save(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	err := n.call(func() error {
		if n.world.values[key].revision != revision {
			return ErrStale
		}
		n.world.last++
		n.world.values[key] = storedValue{value, n.world.last}
		revision = n.world.last
		return nil
	})
	return revision, err
}

func (n *node) Delete(_ context.Context, key string, revision uint64) error {
	return n.call(func() error {
		if n.world.values[key].revision != revision {
			return ErrStale
		}
		delete(n.world.values, key)
		return nil
	})
}

func (n *node) Publish(_ context.Context, e messages.Event) error {
	return n.call(func() error {
		if _, twice := n.world.events[e.ID]; !twice {
			n.world.told = append(n.world.told, e)
		}
		n.world.events[e.ID] = e
		return nil
	})
}

func (n *node) Follow(ctx context.Context, _ func(context.Context, messages.Event) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// finish ends every job that is not finished.
func (w *world) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.jobs {
		w.jobs[id] = messages.StateSucceeded
	}
}

// ids are the jobs in the order they were submitted.
func (w *world) ids() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for _, job := range w.order {
		ids = append(ids, job.ID)
	}
	return ids
}

// tales are the events, one line each.
func (w *world) tales() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	for _, e := range w.told {
		lines = append(lines, string(e.Outcome)+" "+e.ID+": "+e.Error)
	}
	return lines
}

// count is a Metrics that adds up.
type count struct {
	NoMetrics
	mu     sync.Mutex
	slots  map[string]int
	errors int
	back   int
}

func (c *count) SlotsDecided(_, outcome string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots == nil {
		c.slots = map[string]int{}
	}
	c.slots[outcome] += n
}

func (c *count) SchedulerError(string) { c.mu.Lock(); c.errors++; c.mu.Unlock() }
func (c *count) ClockWentBack()        { c.mu.Lock(); c.back++; c.mu.Unlock() }

type term1 struct {
	ctx   context.Context
	epoch uint64
}

func (t term1) Epoch() uint64                 { return t.epoch }
func (t term1) Context() context.Context      { return t.ctx }
func (t term1) Release(context.Context) error { return nil }

// lead returns a scheduler that leads already, and its term, to be ticked by hand.
func (n *node) lead(t testing.TB, plan Plan, metrics Metrics) (*Scheduler, *term, error) {
	t.Helper()
	s, err := New(Options{
		Plan: plan, Queue: n, Store: n, Events: n, Holder: "node", Metrics: metrics, Clock: n.world.clock,
		Report: func(err error) { t.Log("reported:", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	term := &term{lease: term1{context.Background(), 1}}
	return s, term, s.open(context.Background(), term)
}

func schedules(s ...Schedule) Plan { return Plan{Schedules: s} }

// backups is a schedule of incremental backups in UTC with the default policy.
func backups(t testing.TB, name, cron string, sources ...string) Schedule {
	t.Helper()
	s := Schedule{
		Name: name, Kind: messages.KindBackup, Type: messages.BackupIncremental,
		Recurrence: Recurrence{Timing: cronTiming(t, cron)}, CatchUp: 24 * time.Hour, Overlap: OverlapSkip,
	}
	for _, source := range sources {
		s.Targets = append(s.Targets, Target{Source: source, Region: "eu"})
	}
	slices.SortFunc(s.Targets, func(a, b Target) int { return strings.Compare(a.Source, b.Source) })
	return s
}

func sorted(s []string) []string { slices.Sort(s); return s }

func firstJob(w *world, id string) messages.Job {
	for _, job := range w.order {
		if job.ID == id {
			return job
		}
	}
	return messages.Job{}
}

func (w *world) keys() []string {
	var keys []string
	for key := range w.values {
		keys = append(keys, key)
	}
	return sorted(keys)
}
