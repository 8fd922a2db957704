package keeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/standby"
	"mahavishnu/fault"
)

// runner is a keeper that runs. Everything in it belongs to one goroutine; what takes long is
// done by an operation, of which there is one at a time, and by a look at the member.
type runner struct {
	*Keeper
	ctx   context.Context
	state *state

	// tenure is the lease, from the moment it is won until it is released or lost.
	tenure Tenure
	// highest is the highest epoch of a tenure, written down or not.
	highest uint64
	dog     Watchdog
	op      *operation
	// waiting are commands put off until op has ended, all with the same verb.
	waiting []*request
	// unfenced: the member must be stopped and an attempt to do so failed. letGo: the
	// lease is given back when it is.
	unfenced, letGo bool
	// adopting: a member that took writes when the keeper came may go on until then.
	adopting time.Time
	// retake is when a former primary comes back by itself; zero is never.
	retake time.Time
	// answered is when a primary last answered, unanswered how many looks have had no answer since.
	answered   time.Time
	unanswered int
	// retell is when a member that seems to be there, and could not be told of a fence again, is tried
	// next; what takes writes does not wait for that.
	retell time.Time
	// resting is until when a standby that could not be started is not tried again.
	resting time.Time

	// beside is what is written down beside the loop.
	beside sync.WaitGroup

	looking  bool
	observed chan observation
	care     care
	tick     clock.Timer
}

// operation is something that takes long.
type operation struct {
	cancel   context.CancelCauseFunc
	finished chan struct{}
	// apply is what the loop does when the operation has finished.
	apply func()
}

// observation is a look at the member.
type observation struct {
	health standby.Health
	err    error
	at     time.Time
	// tenure is the one under which it was made; 0 is none.
	tenure uint64
	// secured are the members that have everything; careErr is why that could not be kept up.
	secured []string
	careErr error
	// led: the service has had a primary, of whatever name. Asked while the keeper starts and
	// the member does not answer; ledErr is why nobody could say.
	led    bool
	ledErr error
	// lacks is what the machine lacks to control the member.
	lacks error
}

func (r *runner) run() error {
	r.tick = r.o.Clock.NewTimer(0)
	defer r.tick.Stop()
	if err := r.begin(); err != nil {
		return err
	}
	for {
		var finished chan struct{}
		if r.op != nil {
			finished = r.op.finished
		}
		var lost <-chan struct{}
		if r.tenure != nil {
			lost = r.tenure.Context().Done()
		}
		var event func()
		select {
		case <-r.ctx.Done():
			return r.end()
		case <-lost:
			event = func() {}
		case <-finished:
			event = r.complete
		case q := <-r.requests:
			event = func() { r.hear(q) }
		case o := <-r.observed:
			event = func() { r.looking = false; r.judge(o) }
		case <-r.tick.C():
			event = r.beat
		}
		// Before anything else: this process may have slept for an hour since the
		// last line, and the lease with it.
		r.checkTenure()
		event()
		r.settle()
		r.takeUp()
	}
}

// pace is how often the loop wakes by itself.
func (r *runner) pace() time.Duration {
	return min(r.o.ProbeEvery, r.o.Timing.RenewEvery)
}

// beat is what is done again and again.
func (r *runner) beat() {
	defer func() { r.tick.Reset(r.pace()) }()
	r.feed()
	if r.unfenced {
		r.fence("")
		return
	}
	now := r.o.Clock.Now()
	if r.tenure == nil && r.op == nil && !r.retake.IsZero() && !now.Before(r.retake) {
		r.campaign(nil)
	}
	r.look()
}

// checkTenure notices that the lease was lost, by the clock first.
func (r *runner) checkTenure() {
	if r.tenure == nil {
		return
	}
	switch cause := context.Cause(r.tenure.Context()); {
	case !r.o.Clock.Now().Before(r.tenure.Deadline()):
		r.lose("the lease was not renewed in time")
	case cause != nil:
		r.lose(cause.Error())
	}
}

// start runs an operation. work returns what the loop does when it is done.
func (r *runner) start(ctx context.Context, state State, reason string, work func(ctx context.Context) (apply func())) {
	ctx, cancel := context.WithCancelCause(ctx)
	op := &operation{cancel: cancel, finished: make(chan struct{})}
	r.op = op
	r.become(state, reason)
	go func() {
		defer close(op.finished)
		op.apply = work(ctx)
	}()
}

// complete ends an operation that has finished.
func (r *runner) complete() {
	op := r.op
	if op == nil {
		return // ended by what came first
	}
	<-op.finished
	r.op = nil
	op.apply()
	op.cancel(nil)
}

// abort ends an operation before its time.
func (r *runner) abort(cause error) {
	if r.op != nil {
		r.op.cancel(cause)
		r.complete()
	}
}

func (r *runner) become(state State, reason string) {
	m := r.state.get()
	owed, _ := r.state.owes()
	r.update(func(s *Status) {
		s.State, s.Reason, s.Epoch, s.CommandEpoch = state, reason, m.Tenure, m.Command
		s.Holds, s.Watched = r.tenure != nil, r.dog != nil
		s.Untold = owed != 0
		if !s.Holds {
			s.Left, s.Secured = 0, nil
		}
	})
}

// begin looks at what is there and decides what becomes of it.
func (r *runner) begin() error {
	if owed, _ := r.state.owes(); owed != 0 {
		r.fence("it was stopped while it could not be told so")
		r.mayRetake(r.state.get(), r.Status().Health, r.o.Clock.Now())
		return nil
	}
	h, err := r.o.Driver.Health(r.ctx)
	now := r.o.Clock.Now()
	r.update(func(s *Status) { s.Health, s.Seen, s.Trouble, s.Lacks = h, now, text(err), text(r.lacks()) })
	if err == nil {
		return r.meet(h, now)
	}
	if m := r.state.get(); m.Role == "" && m.Tenure == 0 {
		// It may be slow to start, in a service that is new; see judgeNewcomer.
		r.adopting = now.Add(r.o.Timing.RenewDeadline)
		r.become(Starting, "it does not answer yet: "+err.Error())
		return nil
	}
	r.refuse(err)
	return nil
}

// meet decides what becomes of a member that answers when the keeper has just started.
func (r *runner) meet(h standby.Health, now time.Time) error {
	m := r.state.get()
	switch {
	case h.Writable:
		// What takes writes already goes on while there is a good chance of the lease.
		r.adopting = now.Add(r.o.Timing.RenewDeadline)
		r.campaign(nil)
	case h.Running && h.Role == standby.Standby && m.Role != rolePrimary:
		if err := r.state.change(func(m *memory) { m.Role = roleStandby }); err != nil {
			return err
		}
		r.become(Following, "")
	default:
		r.become(Down, h.Detail)
		r.mayRetake(m, h, now)
	}
	return nil
}

// refuse stops a member that did not answer a keeper that has just started: it hangs, maybe in
// the middle of a tenure that is over. A standby that hangs loses nothing.
func (r *runner) refuse(err error) {
	r.fence("it does not answer, and nobody holds the lease for it: " + err.Error())
	h := r.Status().Health
	if down, herr := r.o.Driver.Health(r.ctx); herr == nil {
		h = down // its files tell what it was
	}
	r.mayRetake(r.state.get(), h, r.o.Clock.Now())
}

// mayRetake lets a member that was the primary come back by itself.
func (r *runner) mayRetake(m memory, h standby.Health, at time.Time) {
	if r.o.Retake >= 0 && (m.Role == rolePrimary || m.Role == "" && h.Role == standby.Primary) {
		r.retake = at
	}
}

// end leaves things in order when the keeper is to stop.
func (r *runner) end() error {
	r.abort(context.Cause(r.ctx))
	var err error
	if r.tenure != nil {
		err = r.stopPrimary()
	}
	if r.dog != nil {
		err = errors.Join(err, r.dog.Close())
		r.dog = nil
	}
	if r.looking {
		<-r.observed
	}
	r.beside.Wait()
	r.settle()
	return err
}

// stopPrimary demotes the primary and gives the lease back, or fences it when that takes too long.
func (r *runner) stopPrimary() error {
	r.become(Demoting, "the keeper ends")
	ctx, cancel := context.WithTimeoutCause(r.tenure.Context(), r.o.ShutdownTime, errors.New("the orderly stop took too long"))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.o.Driver.Demote(ctx, r.tenure.Epoch()) }()
	var err error
	for waiting := true; waiting; {
		select {
		case err = <-done:
			waiting = false
		case <-r.tick.C():
			r.feed()
			r.tick.Reset(r.pace())
		}
	}
	if err != nil {
		r.fence("the keeper ends, and the orderly stop failed: " + err.Error())
		if r.unfenced {
			return fault.New("stop", r.o.Service+" on "+r.o.Member, errors.New("it may still take writes"), "stop it by hand, now")
		}
	}
	r.release()
	return nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// late returns an error when the lease has run out, whatever its context says: the timers of
// a process that slept fire after its other goroutines have gone on.
func (r *runner) late(t Tenure) error {
	if !r.o.Clock.Now().Before(t.Deadline()) {
		return fmt.Errorf("%w: the lease ran out", ErrFenced)
	}
	return context.Cause(t.Context())
}
