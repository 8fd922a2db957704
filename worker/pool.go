package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// Options say what a pool takes and how it goes about it. Bus, Node, Region and
// Handlers are required.
type Options struct {
	Bus *bus.Bus
	// Node names this worker in records and events.
	Node string
	// Region is whose jobs are taken, besides those for any region, until Serve says
	// otherwise.
	Region string
	// Kinds are the kinds taken; nil is every kind that has a handler.
	Kinds []messages.Kind
	// Handlers do the jobs.
	Handlers Handlers
	// Slots is how many jobs run at once. Zero is the number of CPUs.
	Slots int
	// Distance is how far this worker is from the home of jobs for any region,
	// 0 to 9: a worker further away gets one only while no nearer one waits.
	Distance int
	// Grace is how long running jobs may go on when the pool stops. Zero is
	// 30 s; negative is none.
	Grace time.Duration
	// StopTime is how long a handler whose context ended may take to return
	// before it is abandoned. Zero is 10 s.
	StopTime time.Duration
	// ParkAfter is the longest wait for which a message is handed back with a
	// delay, and counts against MaxAckPending meanwhile. A job that waits
	// longer is parked in its record until the reconciler wakes it. Zero is
	// 2 min.
	ParkAfter time.Duration
	// ProgressEvery is how often progress is published at most. Zero is 1 s.
	ProgressEvery time.Duration
	// MaxAttempts is how often a job may fail that does not say so itself. Zero
	// is messages.DefaultMaxAttempts.
	MaxAttempts int
	// AttemptTime is how long one attempt may take of a job without a deadline
	// of its own; then it counts as failed. Zero is as long as it needs.
	AttemptTime time.Duration
	// Retry is how failed jobs wait.
	Retry RetryPolicy
	// Clock is the time; nil is the machine's.
	Clock clock.Clock
	// Log tells what no error can be returned for. The zero value is silent.
	Log zerolog.Logger
	// Metrics counts; nil counts nothing.
	Metrics Metrics
}

func (o Options) withDefaults() Options {
	if o.Slots <= 0 {
		o.Slots = runtime.NumCPU()
	}
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	if o.StopTime <= 0 {
		o.StopTime = 10 * time.Second
	}
	if o.ParkAfter <= 0 {
		o.ParkAfter = 2 * time.Minute
	}
	if o.ProgressEvery <= 0 {
		o.ProgressEvery = time.Second
	}
	if o.Metrics == nil {
		o.Metrics = NoMetrics{}
	}
	if o.Kinds == nil {
		for _, k := range messages.Kinds() {
			if o.Handlers[k] != nil {
				o.Kinds = append(o.Kinds, k)
			}
		}
	}
	o.Clock = clock.Or(o.Clock)
	return o
}

func (o Options) check() error {
	switch {
	case o.Bus == nil:
		return fault.New("start worker", o.Node, errors.New("it is not connected to a queue"), "")
	case !messages.ValidName(o.Node):
		return fault.New("start worker", o.Node, errors.New("the name of the node is not valid"), "set node.name to letters, digits, '-' and '_'")
	case !messages.ValidName(o.Region):
		return fault.New("start worker", o.Node, fmt.Errorf("%q is not a region's name", o.Region), "set node.region, or pass --region")
	case len(o.Kinds) == 0:
		return fault.New("start worker", o.Node, errors.New("it takes no kind of job"), "pass --kinds")
	}
	for _, k := range o.Kinds {
		if o.Handlers[k] == nil {
			return fault.New("start worker", o.Node, fmt.Errorf("this version cannot do %s jobs", k), "leave it out of --kinds")
		}
	}
	return nil
}

// Pool runs jobs in a fixed number of slots.
type Pool struct {
	Options

	mu          sync.Mutex
	running     map[*attempt]struct{}
	interrupted bool     // attempts that start now are interrupted at once
	serves      []string // the regions whose jobs are taken
	from        *source  // nil while the pool does not run
}

// NewPool returns a pool that does nothing until Run.
func NewPool(o Options) (*Pool, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Pool{Options: o, running: map[*attempt]struct{}{}, serves: []string{o.Region}}, nil
}

// Status is what a pool does right now.
type Status struct {
	Region string
	// Serves are the regions whose jobs are taken, or still run, sorted.
	Serves []string
	Kinds  []messages.Kind
	Slots  int
	// Jobs are the ids of the jobs that run, sorted.
	Jobs []string
}

// Status tells what the pool does right now.
func (p *Pool) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Region: p.Region, Serves: slices.Clone(p.serves), Kinds: slices.Clone(p.Kinds), Slots: p.Slots}
	for a := range p.running {
		s.Jobs = append(s.Jobs, a.task.Job.ID)
		if !p.mine(a) {
			s.Serves = append(s.Serves, a.task.Job.Region)
		}
	}
	slices.Sort(s.Serves)
	s.Serves = slices.Compact(s.Serves)
	slices.Sort(s.Jobs)
	return s
}

// Run works until ctx ends, then drains: it pulls nothing more, gives running
// jobs the grace, and hands the rest back at once. It returns when every job's
// outcome is written or given up. A pool runs once.
func (p *Pool) Run(ctx context.Context) error {
	from := newSource(ctx, p)
	p.mu.Lock()
	p.from = from
	p.mu.Unlock()
	if err := from.open(); err != nil {
		from.end()
		return fmt.Errorf("start worker %s: %w", p.Node, err)
	}
	var slots sync.WaitGroup
	for range p.Slots {
		slots.Go(func() { p.slot(ctx, from) })
	}
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		slots.Wait()
	}()
	<-ctx.Done()
	err := from.close()
	p.drain(idle)
	if err != nil {
		return fmt.Errorf("stop worker %s: %w", p.Node, err)
	}
	return nil
}

// drain gives running jobs the grace and interrupts the rest.
func (p *Pool) drain(idle <-chan struct{}) {
	timer := p.Clock.NewTimer(max(p.Grace, 0))
	defer timer.Stop()
	select {
	case <-idle:
		return
	case <-timer.C():
	}
	p.mu.Lock()
	p.interrupted = true
	for a := range p.running {
		a.cancel(ErrInterrupted)
	}
	p.mu.Unlock()
	<-idle
}

// slot does one job after the other.
func (p *Pool) slot(ctx context.Context, from *source) {
	for ctx.Err() == nil {
		if d := from.next(ctx); d != nil {
			p.work(ctx, d)
		}
	}
}

// work does one message, whatever it is.
func (p *Pool) work(ctx context.Context, d *bus.Delivery) {
	stopping := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	if stopping { // it arrived while the pool stopped
		p.handBack(ctx, d, "", 0)
		return
	}
	c := p.accept(ctx, d)
	if c == nil {
		return
	}
	a := p.enter(ctx, d, c)
	defer p.leave(a)
	a.run()
}

func (p *Pool) enter(ctx context.Context, d *bus.Delivery, c *claim) *attempt {
	a := newAttempt(ctx, p, d, c)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[a] = struct{}{}
	switch {
	case p.interrupted:
		a.cancel(ErrInterrupted)
	case !p.mine(a): // it came while another region took over
		a.cancel(ErrMoved)
	}
	return a
}

func (p *Pool) leave(a *attempt) {
	a.cancel(context.Canceled)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, a)
}

// trouble tells of a failed request that is not the end of anything: the
// message comes again, the beat is repeated.
func (p *Pool) trouble(operation, job string, err error) {
	p.Metrics.BusError(operation)
	p.Log.Warn().Err(err).Str("operation", operation).Str("job", job).Msg("queue request failed")
}

// handBack returns a message to the queue; if that fails it comes back by
// itself after AckWait.
func (p *Pool) handBack(ctx context.Context, d *bus.Delivery, job string, delay time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, requestTime(d))
	defer cancel()
	if err := d.HandBack(ctx, delay); err != nil {
		p.trouble("hand back", job, err)
	}
}

// requestTime is how long one request may take: two of them in a row, and the
// wait for the next beat, fit into a lease.
func requestTime(d *bus.Delivery) time.Duration { return d.AckWait() / 6 }
