package plan

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Options are what an executor needs. Journal, Registry and Node are required.
type Options struct {
	Journal  Journal
	Registry *Registry
	// Node is this machine, the actor of what it journals.
	Node string
	// Approvers are who may approve, with their public keys, by name.
	Approvers map[string]PublicKey
	// Window is that of plans that name none; 0 is none.
	Window time.Duration
	// Names knows services, members and regions; nil refuses no name.
	Names Names
	// Resolve fills in parameters that were not given: which member is to take over,
	// for one. It is asked once, before an execution begins, so that its answer never
	// changes under way. Optional.
	Resolve func(ctx context.Context, p *Plan, given map[string]string) (map[string]string, error)
	// Suits refuses complete parameters that do not go together as things are: one that
	// would take over from itself. It is asked before an execution is written down; its
	// error wraps [ErrRefused] and has a hint. Nil refuses none.
	Suits func(ctx context.Context, p *Plan, v Variant, params map[string]string) error
	// Sensible tells whether a plan would ever be carried out with these parameters;
	// with others it is not evaluated. Nil: every combination of names is.
	Sensible func(p *Plan, params map[string]string) bool
	// Tell hears of everything that happens, from the goroutine it happens in: it must
	// not block, and is called by several at once. Optional.
	Tell func(Event)
	// Audit keeps what must not be lost of approvals and decisions. An error refuses
	// what was to be kept. Optional.
	Audit func(ctx context.Context, e AuditEntry) error
	Clock clock.Clock
}

// Executor carries out executions. It is safe for concurrent use.
type Executor struct {
	o     Options
	clock clock.Clock

	hung atomic.Int64 // steps that go on long after their time is over

	mu      sync.Mutex
	running map[string]chan struct{} // by execution; a send wakes the one that runs it
}

// NewExecutor returns an executor.
func NewExecutor(o Options) (*Executor, error) {
	switch {
	case o.Journal == nil || o.Registry == nil:
		return nil, errors.New("plans need a journal and a registry")
	case !messages.ValidName(o.Node):
		return nil, fmt.Errorf("%q cannot be a node", o.Node)
	}
	return &Executor{o: o, clock: clock.Or(o.Clock), running: map[string]chan struct{}{}}, nil
}

func (x *Executor) now() time.Time { return x.clock.Now().UTC() }

// Order is a wish to carry out a plan.
type Order struct {
	Plan *Plan
	// Variant "" is the plan's own choice.
	Variant Variant
	Params  map[string]string
	Trigger Trigger
	By      string
	Reason  string
	// Returns is the execution that a failback goes back from.
	Returns string
	// Seen is the digest of the plan as whoever orders it has seen it; "" is not at all.
	Seen string
}

// stale is how old an execution may be that was written down and never begun, before
// nobody may begin it: whoever ordered it was told that it failed, or thinks so.
const stale = time.Minute

// Start writes an execution down and takes what it protects, or refuses with
// [ErrBusy] or [ErrTooSoon]. Run carries it out. An automatic order commits an
// execution that is failed over and still in its window, or that began by itself and
// has stopped: the fault is newer.
func (x *Executor) Start(ctx context.Context, epoch uint64, o Order) (Execution, error) {
	e, err := x.prepare(ctx, o)
	if err != nil {
		return Execution{}, err
	}
	if o.Trigger == Automatic {
		if err := x.supersede(ctx, epoch, &e); err != nil {
			return Execution{}, err
		}
	}
	// What starts by itself is ordered over and over while the fault lasts; an order
	// that would be refused leaves nothing in the journal.
	b, _, err := x.readBoard(ctx)
	if err != nil {
		return Execution{}, err
	}
	if err := b.take(&e, x.now()); err != nil {
		return Execution{}, err
	}
	e.Epoch, e.Leader = epoch, x.o.Node
	data, err := json.Marshal(e)
	if err != nil {
		return Execution{}, fault.New("begin plan", e.Plan.Name, err, "")
	}
	revision, err := x.o.Journal.Put(ctx, executionPrefix+e.ID, data, 0)
	if err != nil {
		return Execution{}, fault.New("begin plan", e.Plan.Name, err, "")
	}
	x.tell(Event{Kind: EventStarted, Execution: e.ID, Plan: e.Plan.Name, State: e.State, Text: e.Reason})
	r := &record{x: x, epoch: epoch, exec: e, revision: revision}
	err = x.admit(ctx, r)
	return r.exec, err
}

// prepare makes an execution of an order.
func (x *Executor) prepare(ctx context.Context, o Order) (Execution, error) {
	return x.compose(ctx, o, x.o.Suits)
}

// compose is prepare with what refuses parameters that do not go together; nil refuses none.
func (x *Executor) compose(ctx context.Context, o Order, suits func(context.Context, *Plan, Variant, map[string]string) error) (Execution, error) {
	p := *o.Plan
	if o.Variant == "" {
		o.Variant = p.Variant()
	}
	switch {
	case !p.Has(o.Variant):
		return Execution{}, fault.New("begin plan", p.Name, fmt.Errorf("it has no %s variant", o.Variant), "mahavishnu failover plan "+p.Name)
	case o.Trigger == Automatic && p.Start != Automatic:
		return Execution{}, fault.New("begin plan", p.Name, errors.New("it does not start by itself"), "")
	}
	params, err := x.complete(ctx, &p, o.Params)
	if err == nil && suits != nil {
		err = suits(ctx, &p, o.Variant, params)
	}
	if errors.Is(err, ErrEarly) || errors.Is(err, ErrRefused) {
		return Execution{}, fault.New("begin plan", p.Name, err, "") // it says what comes first, or instead
	}
	if err != nil {
		return Execution{}, fault.New("begin plan", p.Name, err, "mahavishnu failover plan "+p.Name)
	}
	if !p.Window.Given && !p.Returns {
		p.Window.Length = config.Duration(x.o.Window)
	}
	now := x.now()
	return Execution{
		ID:   fmt.Sprintf("%s-%s-%s", p.Name, now.Format("20060102T150405"), strings.ToLower(rand.Text()[:6])),
		Plan: p, Digest: Digest(p, o.Variant, params), Variant: o.Variant, Params: params, Things: p.Things(params),
		Trigger: o.Trigger, By: o.By, Reason: o.Reason, Returns: o.Returns,
		State: StateReady, Created: now, Updated: now,
	}, nil
}

// complete fills in the parameters.
func (x *Executor) complete(ctx context.Context, p *Plan, given map[string]string) (map[string]string, error) {
	if x.o.Resolve != nil {
		resolved, err := x.o.Resolve(ctx, p, given)
		if err != nil {
			return nil, err
		}
		all := make(map[string]string, len(resolved)+len(given))
		for name, value := range resolved {
			all[name] = value
		}
		for name, value := range given {
			if value != "" {
				all[name] = value
			}
		}
		given = all
	}
	return p.Complete(given, x.o.Names)
}

// overtakable tells whether a newer fault may end an execution as it is: one that only
// waits for the end of its window, or one that began by itself and has stopped, for which
// nobody may ever come while nothing serves.
func (e *Execution) overtakable() bool {
	return e.State == StateFailedOver || e.State == StateStopped && e.Trigger == Automatic && e.Resume == StateExecuting
}

// supersede commits what holds the things of an execution and is only waiting: for the
// end of its window, or for a person.
func (x *Executor) supersede(ctx context.Context, epoch uint64, e *Execution) error {
	b, _, err := x.readBoard(ctx)
	if err != nil {
		return err
	}
	for _, thing := range e.Things {
		id := b.Things[thing].Holder
		if id == "" {
			continue
		}
		holder, _, err := x.read(ctx, id)
		if err != nil || !holder.overtakable() {
			return err
		}
		if err := e.Plan.Limits.allow(b.Things[thing], e.run(x.now())); err != nil {
			return fault.New("begin plan", e.Plan.Name, err, "a person may: mahavishnu failover execute "+e.Plan.Name)
		}
		r, err := x.claim(ctx, id, epoch)
		if err != nil {
			return err
		}
		err = r.change(ctx, func(next *Execution) error {
			if !next.overtakable() {
				return fault.New("commit execution", id, fmt.Errorf("%w: it is %s", ErrRefused, next.State), "")
			}
			next.finish(StateCommitted, x.now())
			next.Wish = &Wish{Verb: VerbCommit, By: x.o.Node, Reason: "a newer fault needs " + e.Plan.Name, At: x.now()}
			return nil
		})
		if err == nil {
			err = x.release(ctx, epoch, &r.exec)
		}
		if err != nil {
			return err
		}
		x.wake(id)
	}
	return nil
}

// admit takes what an execution protects; one that may not is refused, and says so.
func (x *Executor) admit(ctx context.Context, r *record) error {
	err := x.take(ctx, r.epoch, &r.exec)
	if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrTooSoon) {
		return err
	}
	return errors.Join(err, r.change(ctx, func(e *Execution) error {
		e.Error = err.Error()
		e.finish(StateRefused, x.now())
		return nil
	}))
}

// finish ends an execution.
func (e *Execution) finish(s State, now time.Time) {
	e.State, e.Finished, e.Resume, e.Overdue = s, now, "", ""
}

// Run carries an execution on from wherever it is, until it is final, stops for a
// person, or ctx ends, which it does when the lease is lost. An error that does not
// wrap [ErrFenced] or the cause of ctx is the journal's: call Run again.
func (x *Executor) Run(ctx context.Context, epoch uint64, id string) (Execution, error) {
	wake, err := x.enter(id)
	if err != nil {
		return Execution{}, err
	}
	defer x.leave(id)
	r, err := x.claim(ctx, id, epoch)
	if err != nil {
		return Execution{}, err
	}
	for {
		if err := context.Cause(ctx); err != nil {
			return r.exec, err
		}
		var err error
		switch {
		case r.exec.State.Final():
			return r.exec, x.release(ctx, epoch, &r.exec)
		case r.exec.unfinished() >= 0:
			err = x.resolve(ctx, r)
		case r.exec.State == StateReady:
			err = x.begin(ctx, r)
		case r.exec.State == StateExecuting:
			err = x.advance(ctx, r, wake)
		case r.exec.State == StateRollingBack:
			err = x.retreat(ctx, r)
		case r.exec.State == StateFailedOver:
			err = x.window(ctx, r, wake)
		case r.exec.State == StateStopped:
			return r.exec, nil
		default:
			err = fault.New("carry out plan", id, fmt.Errorf("state %q is not known", r.exec.State), "it was written by a newer version")
		}
		if err != nil {
			return r.exec, err
		}
	}
}

// enter lets one goroutine of the process run an execution.
func (x *Executor) enter(id string) (<-chan struct{}, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running[id] != nil {
		return nil, fault.New("carry out plan", id, fmt.Errorf("%w: this process does already", ErrBusy), "")
	}
	wake := make(chan struct{}, 1)
	x.running[id] = wake
	return wake, nil
}

func (x *Executor) leave(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.running, id)
}

// wake tells whoever runs an execution that its record has changed.
func (x *Executor) wake(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case x.running[id] <- struct{}{}:
	default: // nobody runs it, or it has been told already
	}
}

// begin makes a ready execution an executing one.
func (x *Executor) begin(ctx context.Context, r *record) error {
	if age := x.now().Sub(r.exec.Created); age > stale {
		return r.change(ctx, func(e *Execution) error {
			e.Error = fmt.Sprintf("it was not begun within %v of the order", stale)
			e.finish(StateRefused, x.now())
			return nil
		})
	}
	if err := x.admit(ctx, r); err != nil {
		if r.exec.State.Final() {
			return nil // refused, which its record tells
		}
		return err
	}
	return r.change(ctx, func(e *Execution) error {
		e.State = StateExecuting
		return nil
	})
}

// pollEvery is how often the record is read while nothing but a person can change
// it; whoever decides through this process is heard at once.
const pollEvery = 2 * time.Second

// pause lets time pass, until it is woken.
func (x *Executor) pause(ctx context.Context, d time.Duration, wake <-chan struct{}) (woken bool, err error) {
	timer := x.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-timer.C():
		return false, nil
	case <-wake:
		return true, nil
	}
}
