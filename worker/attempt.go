package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// attempt is one claimed run of a job. Its own goroutine keeps the claim alive;
// the handler runs in another.
type attempt struct {
	pool    *Pool
	message *bus.Delivery
	handler Handler
	task    *Task

	base   context.Context // ends never: outcomes are written after ctx ended
	ctx    context.Context // the handler's
	cancel context.CancelCauseFunc

	// asked holds a cancel request that reached this process and is not yet
	// written into the record.
	asked chan messages.ControlRequest

	accepted bool // the record is new: say so
	started  time.Time
	told     sync.WaitGroup // the started event

	mu    sync.Mutex // one change of the record at a time
	entry bus.Entry
	renew time.Time // when the last acknowledged extension of the lease was sent
}

// result is what a handler returned.
type result struct {
	value any
	err   error
}

var errNoReturn = errors.New("the handler ended its goroutine without returning")

func newAttempt(ctx context.Context, p *Pool, d *bus.Delivery, c *claim) *attempt {
	e := c.Entry
	a := &attempt{
		pool: p, message: d, handler: c.handler, accepted: c.accepted, base: ctx,
		entry: e, started: p.Clock.Now(), renew: c.at,
		asked: make(chan messages.ControlRequest, 1),
	}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.task = &Task{
		Job: e.Job, Attempt: e.Attempt, Created: e.Created, Worker: p.Node,
		Cursor: e.Cursor, Meter: newMeter(a.started), fence: a.fence,
	}
	return a
}

// run does the attempt from claim to outcome.
func (a *attempt) run() {
	begun := a.entry.Record
	a.told.Go(func() { a.tellBegin(begun) })
	if a.entry.Cancel != nil { // asked while nobody ran it
		a.cancel(ErrCancelled)
	}
	keeper := newKeeper(a) // before the handler may change the record by its fence
	results := make(chan result, 1)
	go a.call(results)
	r := keeper.keep(results)
	a.told.Wait()
	a.finish(r)
}

// tellBegin publishes the events of an attempt's begin.
func (a *attempt) tellBegin(r messages.Record) {
	ctx, cancel := context.WithTimeout(a.base, requestTime(a.message))
	defer cancel()
	r.Error, r.Result = "", nil // an earlier attempt's
	if a.accepted {
		a.pool.tell(ctx, messages.NewEvent(r, messages.OutcomeAccepted, r.Created))
	}
	a.pool.tell(ctx, messages.NewEvent(r, messages.OutcomeStarted, a.started))
}

// call runs the handler and always sends a result.
func (a *attempt) call(results chan<- result) {
	r := result{err: errNoReturn}
	defer func() {
		if v := recover(); v != nil {
			r = result{err: &panicError{value: v, stack: string(debug.Stack())}}
		}
		results <- r
	}()
	r.value, r.err = a.handler.Run(a.ctx, a.task)
}

// fence is Task.Fence: a renewal of the claim that must succeed.
func (a *attempt) fence(ctx context.Context) error {
	if err := context.Cause(a.ctx); err != nil {
		return err
	}
	if err := a.extend(ctx); err != nil {
		return err
	}
	return context.Cause(a.ctx) // the record may have told of a cancel request
}

// extend renews the record's lease and learns what else changed it. The error
// is ErrLeaseLost when the attempt is fenced; then ctx has ended too.
func (a *attempt) extend(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		now := a.pool.Clock.Now()
		beat := messages.Beat{Progress: a.task.Meter.progress(now), Cursor: a.task.saved.get()}
		next, err := a.entry.Heartbeat(a.entry.Attempt, now, a.message.AckWait(), beat)
		if err != nil {
			return a.lose()
		}
		entry, err := a.pool.Bus.Records().Update(ctx, bus.Entry{Record: next, Revision: a.entry.Revision})
		if err == nil {
			a.entry, a.renew = entry, now
			return nil
		}
		if !errors.Is(err, bus.ErrConflict) {
			return err
		}
		if err := a.reread(ctx); err != nil {
			return err
		}
	}
}

// reread adopts the stored record, or finds that the claim is lost. The caller
// holds mu.
func (a *attempt) reread(ctx context.Context) error {
	stored, err := a.pool.Bus.Records().Get(ctx, a.entry.Job.ID)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return a.lose()
	case err != nil:
		return err
	case stored.Attempt != a.entry.Attempt || stored.State != messages.StateRunning:
		return a.lose()
	}
	a.entry = stored
	if stored.Cancel != nil {
		a.cancel(ErrCancelled)
	}
	return nil
}

func (a *attempt) lose() error {
	a.cancel(ErrLeaseLost)
	return ErrLeaseLost
}

// lost reports whether the attempt must not say anything any more.
func (a *attempt) lost() bool { return errors.Is(context.Cause(a.ctx), ErrLeaseLost) }

// look reads the record, to see a cancel request that changed it.
func (a *attempt) look(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reread(ctx)
}

// requestCancel writes a cancel request into the record, unless it is there.
func (a *attempt) requestCancel(ctx context.Context, req messages.ControlRequest) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		if err := a.reread(ctx); err != nil || a.entry.Cancel != nil {
			return err
		}
		next, err := a.entry.RequestCancel(a.pool.Clock.Now(), req.By, req.Reason)
		if err != nil {
			return err
		}
		if next.State != messages.StateRunning { // the lease ran out meanwhile
			return a.lose()
		}
		entry, err := a.pool.Bus.Records().Update(ctx, bus.Entry{Record: next, Revision: a.entry.Revision})
		if err == nil {
			a.entry = entry
			a.cancel(ErrCancelled)
			return nil
		}
		if !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
}

// leaseEnd is when the attempt stops unless an extension is acknowledged
// before. It is a sixth of AckWait earlier than anybody else may take over.
func (a *attempt) leaseEnd() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.renew.Add(a.message.AckWait() * 5 / 6)
}

// maxResult and maxCursor bound what a handler may leave in the record, in
// bytes: a record travels through the queue with every heartbeat.
const (
	maxResult = 256 << 10
	maxCursor = 64 << 10
)

// encode is a handler's result as the record keeps it. One that is too long is
// left out, which the record tells: the work is done all the same.
func encode(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	data, err := json.Marshal(v)
	if err == nil && len(data) > maxResult {
		return fmt.Appendf(nil, `{"omitted":"the result is %d bytes long; a record keeps %d"}`, len(data), maxResult), nil
	}
	return data, err
}
