package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"mahavishnu/fault"
)

// ErrNotLeading means that this coordinator does not lead, so it carries nothing out.
var ErrNotLeading = errors.New("this coordinator does not lead")

// retryEvery is how long a desk waits before it goes on with an execution whose
// journal could not be reached.
const retryEvery = time.Second

// DeskOptions are what a desk needs beside an executor.
type DeskOptions struct {
	// Plans are what can be executed, until Reload brings others.
	Plans Plans
	// Reload reads them anew, before each evaluation and each order of a person. What
	// it cannot read changes nothing, and is told. What is under way goes on with the plan
	// that it began with. Optional.
	Reload func() (Plans, error)
	// Trouble is what was wrong when they were read, if anything was.
	Trouble error
	// Every is how often they are evaluated; 0 is [EvaluateEvery].
	Every time.Duration
	// Keep is how many executions that have ended stay in the journal; 0 is
	// [KeepExecutions].
	Keep int
	// ConfirmStopped believes a person, under the leader's epoch, that a member was stopped, and
	// returns what was done. Optional.
	ConfirmStopped func(ctx context.Context, epoch uint64, q Request) (string, error)
	// Failed hears of what failed and is tried again: a journal out of reach, an
	// evaluation that could not be kept. Optional.
	Failed func(error)
}

// Desk is what a leading coordinator does with plans. It is safe for concurrent use.
type Desk struct {
	x       *Executor
	o       DeskOptions
	changed chan struct{}

	reading sync.Mutex // held while plans are read

	mu      sync.Mutex
	plans   Plans
	trouble string // why they could not be read the last time
	term    *term  // nil while not leading
}

// term is one leadership.
type term struct {
	ctx   context.Context
	epoch uint64
	end   context.CancelCauseFunc
	runs  sync.WaitGroup
	// going are the executions with a goroutine.
	going map[string]bool
}

// NewDesk returns a desk that does nothing until it leads.
func NewDesk(x *Executor, o DeskOptions) *Desk {
	if o.Every <= 0 {
		o.Every = EvaluateEvery
	}
	if o.Keep <= 0 {
		o.Keep = KeepExecutions
	}
	d := &Desk{x: x, o: o, plans: o.Plans, changed: make(chan struct{}, 1)}
	if o.Trouble != nil {
		d.trouble = o.Trouble.Error()
	}
	return d
}

// Executor is the desk's.
func (d *Desk) Executor() *Executor { return d.x }

// Changed has the plans evaluated soon: something that they depend on has changed.
func (d *Desk) Changed() {
	select {
	case d.changed <- struct{}{}:
	default: // it is on its way already
	}
}

// Plans are those that can be executed.
func (d *Desk) Plans() Plans {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.plans
}

// Lead goes on with what a leader before began, and lets Start and Handle begin more,
// until ctx ends or another leader is seen to have a higher epoch. It returns why it
// ended, after everything it ran has stopped.
func (d *Desk) Lead(ctx context.Context, epoch uint64) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	t := &term{ctx: ctx, epoch: epoch, end: end, going: map[string]bool{}}
	if err := d.open(t); err != nil {
		return err
	}
	d.mu.Lock()
	if d.term != nil {
		d.mu.Unlock()
		return fault.New("lead", d.x.o.Node, errors.New("it leads already"), "")
	}
	d.term = t
	d.mu.Unlock()
	d.resume(t)
	d.evaluate(t)
	d.mu.Lock()
	d.term = nil
	d.mu.Unlock()
	t.runs.Wait()
	return context.Cause(ctx)
}

// open keeps leaders with lower epochs from beginning anything.
func (d *Desk) open(t *term) error {
	for {
		err := d.x.Ascend(t.ctx, t.epoch)
		if fatal(t.ctx, err) != nil || err == nil {
			return fatal(t.ctx, err)
		}
		d.failed(err)
		if err := d.x.clock.Sleep(t.ctx, retryEvery); err != nil {
			return err
		}
	}
}

// resume goes on with what is unfinished.
func (d *Desk) resume(t *term) {
	for {
		ids, err := d.x.Unfinished(t.ctx)
		if err == nil {
			for _, id := range ids {
				d.run(t, id)
			}
			return
		}
		if t.ctx.Err() != nil {
			return
		}
		d.failed(err)
		if d.x.clock.Sleep(t.ctx, retryEvery) != nil {
			return
		}
	}
}

// run carries an execution out in a goroutine of its own, unless one does already.
func (d *Desk) run(t *term, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.going[id] || t.ctx.Err() != nil {
		return
	}
	t.going[id] = true
	t.runs.Go(func() {
		for {
			_, err := d.x.Run(t.ctx, t.epoch, id)
			switch {
			case errors.Is(err, ErrFenced):
				t.end(err)
			case err != nil && t.ctx.Err() == nil:
				d.failed(err)
				if d.x.clock.Sleep(t.ctx, retryEvery) == nil {
					continue
				}
			}
			break
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(t.going, id)
	})
}

func (d *Desk) failed(err error) {
	if d.o.Failed != nil {
		d.o.Failed(err)
	}
}

// leading returns the term under way.
func (d *Desk) leading() (*term, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.term == nil || d.term.ctx.Err() != nil {
		return nil, fault.New("carry out plan", d.x.o.Node, ErrNotLeading, "")
	}
	return d.term, nil
}

// within ends a request with the term: what is not written by then is the next
// leader's to write.
func (t *term) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(t.ctx, func() { cancel(fmt.Errorf("%w any more: %w", ErrNotLeading, context.Cause(t.ctx))) })
	return ctx, func() { stop(); cancel(nil) }
}

// Start begins an execution and returns once it is written down.
func (d *Desk) Start(ctx context.Context, o Order) (Execution, error) {
	t, err := d.leading()
	if err != nil {
		return Execution{}, err
	}
	ctx, stop := t.within(ctx)
	defer stop()
	e, err := d.x.Start(ctx, t.epoch, o)
	if err != nil {
		return e, err
	}
	d.run(t, e.ID)
	return e, nil
}

// Handle answers a request.
func (d *Desk) Handle(ctx context.Context, q Request) Reply {
	trouble := ""
	if q.Ask == AskTry || q.Ask == AskExecute || q.Ask == AskFailback {
		trouble = d.fresh()
	}
	r, err := d.handle(ctx, q)
	if err != nil {
		f := failed(err)
		f.Execution, f.Evaluation = r.Execution, r.Evaluation
		r = f
	}
	r.Warning = trouble
	return r
}

func (d *Desk) handle(ctx context.Context, q Request) (Reply, error) {
	t, err := d.leading()
	if err != nil {
		return Reply{}, err
	}
	ctx, stop := t.within(ctx)
	defer stop()
	if q.Ask == AskConfirmStopped && d.o.ConfirmStopped != nil {
		done, err := d.o.ConfirmStopped(ctx, t.epoch, q)
		return Reply{Done: done}, err
	}
	var e Execution
	switch q.Ask {
	case AskTry, AskExecute:
		p, err := d.Plans().Get(q.Plan)
		if err != nil {
			return Reply{}, err
		}
		o := Order{Plan: p, Variant: q.Variant, Params: q.Params, Trigger: ByHand, By: q.By, Reason: q.Reason, Seen: q.Digest}
		if q.Ask == AskTry {
			evaluation, err := d.x.Try(ctx, o)
			return Reply{Evaluation: &evaluation}, err
		}
		if err := o.allowed(); err != nil {
			return Reply{}, err
		}
		e, err = d.Start(ctx, o)
		return replyWith(e), err
	case AskFailback:
		e, err = d.failback(ctx, q)
	case AskApprove:
		if q.Approval == nil {
			return Reply{}, fault.New("approve", q.Execution, fmt.Errorf("%w: there is none", ErrNotApproved), "")
		}
		if e, err = d.x.Find(ctx, q.Execution); err == nil {
			e, err = d.x.Approve(ctx, t.epoch, e.ID, *q.Approval)
		}
	case AskCommit, AskRollback, AskContinue:
		if e, err = d.x.Find(ctx, q.Execution); err == nil {
			err = e.asSeen(q)
		}
		if err == nil {
			e, err = d.x.Decide(ctx, t.epoch, e.ID, Decision{Verb: Verb(q.Ask), By: q.By, Reason: q.Reason, Force: q.Force})
		}
		if err == nil {
			d.run(t, e.ID)
		}
	default:
		err = fault.New("answer", string(q.Ask), fmt.Errorf("%w: this version knows no such request", ErrRefused), "")
	}
	return replyWith(e), err
}

// replyWith shows an execution, if there is one.
func replyWith(e Execution) Reply {
	if e.ID == "" {
		return Reply{}
	}
	return Reply{Execution: &e}
}

// asSeen refuses a decision about another execution than the one that was seen: the part
// of its id that was given may mean another by now.
func (e *Execution) asSeen(q Request) error {
	if q.Digest == "" || sameDigest(q.Digest, e.Digest) {
		return nil
	}
	return fault.New(string(q.Ask), e.ID, fmt.Errorf("%w: its digest is %s", ErrDiffers, ShortDigest(e.Digest)), "look at it first: mahavishnu failover journal "+e.ID)
}

// failback begins the plan that goes back from an execution.
func (d *Desk) failback(ctx context.Context, q Request) (Execution, error) {
	from, err := d.x.Away(ctx, q.Execution)
	if err != nil {
		return Execution{}, err
	}
	const op = "failback from"
	switch {
	case from.State == StateRolledBack || from.State == StateRefused:
		return from, fault.New(op, from.ID, fmt.Errorf("%w: it is %s", ErrRefused, from.State), "there is nothing to go back from")
	case from.State != StateCommitted:
		return from, fault.New(op, from.ID, fmt.Errorf("%w: it is %s", ErrRefused, from.State),
			"commit it, or roll it back: mahavishnu failover commit "+from.ID)
	case from.Plan.Failback == "":
		return from, fault.New(op, from.ID, fmt.Errorf("%w: plan %s has no failback", ErrRefused, from.Plan.Name), from.elsewhere())
	}
	p, err := d.Plans().Get(from.Plan.Failback)
	if err != nil {
		return from, err
	}
	if err := p.asSeen(q.Digest); err != nil {
		return from, err
	}
	params := maps.Clone(q.Params)
	if params == nil {
		params = map[string]string{}
	}
	for name, value := range from.Params {
		if _, wants := p.Parameters[name]; wants && params[name] == "" {
			params[name] = value
		}
	}
	return d.Start(ctx, Order{Plan: p, Params: params, Trigger: ByHand, By: q.By, Reason: q.Reason, Returns: from.ID})
}

// Answer is Handle for a request as it travels.
func (d *Desk) Answer(ctx context.Context, data []byte) []byte {
	q, err := DecodeRequest(data)
	var r Reply
	if err != nil {
		r = failed(err)
	} else {
		r = d.Handle(ctx, q)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Appendf(nil, `{"error":%q}`, err.Error())
	}
	return text
}
