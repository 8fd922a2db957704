package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mahavishnu/clock"
	"mahavishnu/messages"
)

// Options make a [Scheduler]. The first five are required.
type Options struct {
	Plan    Plan
	Queue   Queue
	Elector Elector
	Store   Store
	Events  Events
	// Regions may be nil: then nothing is ever changed about regions.
	Regions Regions
	// Holder names this scheduler in what it writes.
	Holder string
	// Settle is how long a new leader waits before it acts, so that an old one
	// has stood down however their clocks run. 0 means three seconds; below 0
	// none.
	Settle time.Duration
	// Metrics may be nil.
	Metrics Metrics
	// Report hears of every error that the scheduler survives. It must not
	// block. It may be nil only in tests that look at Metrics.
	Report func(error)
	// Clock is nil for the machine's.
	Clock clock.Clock
}

// Scheduler turns a plan into jobs while it leads. Its methods are safe for
// concurrent use.
type Scheduler struct {
	queue   Queue
	elector Elector
	store   Store
	events  Events
	regions Regions
	holder  string
	settle  time.Duration
	metrics Metrics
	report  func(error)
	clock   clock.Clock

	plan    atomic.Pointer[Plan]
	changed chan struct{}
	moved   atomic.Pointer[messages.Regions]
	turned  chan struct{} // moved was replaced

	mu     sync.Mutex
	status Status
}

// New returns a scheduler that does nothing until Run.
func New(o Options) (*Scheduler, error) {
	if err := o.Plan.Check(); err != nil {
		return nil, err
	}
	s := &Scheduler{
		queue: o.Queue, elector: o.Elector, store: o.Store, events: o.Events, regions: o.Regions,
		holder: o.Holder, settle: o.Settle, metrics: o.Metrics, report: o.Report,
		clock: clock.Or(o.Clock), changed: make(chan struct{}, 1), turned: make(chan struct{}, 1),
	}
	if s.settle == 0 {
		s.settle = 3 * time.Second
	}
	if s.metrics == nil {
		s.metrics = NoMetrics{}
	}
	if s.report == nil {
		s.report = func(error) {}
	}
	s.plan.Store(&o.Plan)
	return s, nil
}

// Plan returns the plan in force. It must not be changed.
func (s *Scheduler) Plan() Plan { return *s.plan.Load() }

// Update replaces the plan: what stays keeps its state, so that no slot runs
// twice or is lost. A plan that cannot work is refused and the old one stays.
func (s *Scheduler) Update(p Plan) error {
	if err := p.Check(); err != nil {
		return err
	}
	s.plan.Store(&p)
	select {
	case s.changed <- struct{}{}:
	default: // a change is noted already
	}
	return nil
}

// Run leads whenever it may, until ctx ends. It returns nil then.
func (s *Scheduler) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		s.campaign(ctx)
		_ = s.clock.Sleep(ctx, retryAfter) // fails only when ctx has ended
	}
	return nil
}

// campaign waits for the lease and leads while it lasts.
func (s *Scheduler) campaign(ctx context.Context) {
	lease, err := s.elector.Acquire(ctx)
	switch {
	case err == nil:
		s.lead(ctx, lease)
	case ctx.Err() == nil:
		s.fail("campaign", fmt.Errorf("campaign for the scheduler's lease: %w", err))
	}
}

// term is one term of leadership.
type term struct {
	lease Lease
	book  book
	told  time.Time // when the status was published last
}

// lead works until the lease is lost, another leader shows up or ctx ends, and
// frees the lease.
func (s *Scheduler) lead(ctx context.Context, lease Lease) {
	held, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(lease.Context(), func() { cancel(context.Cause(lease.Context())) })
	defer stop()

	err := s.serve(held, &term{lease: lease})
	s.setStatus(Status{})
	s.metrics.Leading(false, 0)
	for _, schedule := range s.Plan().Schedules {
		s.metrics.NextSlot(schedule.Name, time.Time{})
	}
	if ctx.Err() == nil && err != nil {
		s.fail("lead", fmt.Errorf("stopped leading: %w", err))
	}
	if err := s.release(ctx, lease); err != nil && lease.Context().Err() == nil {
		s.fail("release", err)
	}
}

// release frees the lease although the scheduler is stopping.
func (s *Scheduler) release(ctx context.Context, lease Lease) error {
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := lease.Release(free); err != nil {
		return fmt.Errorf("release the scheduler's lease: %w", err)
	}
	return nil
}

// serve runs a term. It always returns an error, the reason of its end.
func (s *Scheduler) serve(ctx context.Context, t *term) error {
	if err := s.clock.Sleep(ctx, s.settle); err != nil {
		return err
	}
	if err := s.open(ctx, t); err != nil {
		return err
	}
	s.metrics.Leading(true, t.lease.Epoch())
	group, ctx := errgroup.WithContext(ctx)
	known := make(chan struct{})
	if s.regions == nil {
		close(known)
	} else {
		group.Go(func() error { return s.watchRegions(ctx, known) })
	}
	group.Go(func() error {
		select {
		case <-known:
			return s.schedule(ctx, t)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	group.Go(func() error { return s.follow(ctx) })
	return group.Wait()
}

// schedule ticks until ctx ends or the leadership is lost.
func (s *Scheduler) schedule(ctx context.Context, t *term) error {
	timer := s.clock.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.changed:
			if err := s.reenter(ctx, t); err != nil {
				return err
			}
		case <-s.turned:
		case <-timer.C():
		}
		wake, err := s.tick(ctx, t)
		if err != nil {
			return err
		}
		// The clock may have been set back during the tick: never sleep longer
		// than that takes to notice.
		timer.Reset(min(max(wake.Sub(s.clock.Now()), 0), pollEvery))
	}
}

// fail reports an error that the scheduler survives.
func (s *Scheduler) fail(operation string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	s.metrics.SchedulerError(operation)
	s.report(err)
}
