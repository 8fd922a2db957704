package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mahavishnu/coordinator/standby"
	"mahavishnu/fault"
)

// campaign waits for the lease. q is nil when it is the keeper's own idea.
func (r *runner) campaign(q *request) {
	var c *Command
	ctx := r.ctx
	release := func() bool { return true }
	if q != nil {
		c = &q.command
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		// Whoever asked has gone: a lease won now would surprise everybody.
		release = context.AfterFunc(q.ctx, func() { cancel(context.Cause(q.ctx)) })
	}
	r.retake = time.Time{}
	r.start(ctx, Waiting, "for the lease", func(ctx context.Context) func() {
		err := r.eligible(ctx, c)
		var t Tenure
		if err == nil {
			t, err = r.o.Leases.Acquire(ctx, r.o.key(), r.o.Member, r.o.Timing)
		}
		release()
		return func() {
			if cause := context.Cause(ctx); err == nil && cause != nil {
				r.tenure, err = t, cause // won a moment too late
				r.release()
			}
			if err != nil {
				r.defeated(q == nil, err)
				q.reply(Answer{}, err)
				return
			}
			r.won(t, q)
		}
	})
}

// eligible tells early what would end a promotion after the lease is won.
func (r *runner) eligible(ctx context.Context, c *Command) error {
	if d, ok := r.o.Driver.(standby.Checker); ok {
		if unstoppable, _ := d.Check(); unstoppable != nil {
			return fmt.Errorf("it is not promoted, because it could not be stopped later: %w", unstoppable)
		}
	}
	h, err := r.o.Driver.Health(ctx)
	if err != nil {
		return err
	}
	known, err := r.load(ctx)
	if err != nil {
		return err
	}
	if err := r.entitled(known, c); err != nil {
		return err
	}
	if c == nil || c.Floor == "" || c.Force {
		return nil
	}
	if compare, ok := r.o.Driver.(standby.Comparer); ok {
		reached, err := compare.Reached(h.Position, c.Floor)
		if err != nil {
			return err
		}
		if !reached {
			return fault.WithHint(fmt.Errorf("%w: it has it up to %s, and up to %s was acknowledged", ErrBehind, h.Position, c.Floor),
				"promote another member, or force the promotion")
		}
	}
	return nil
}

// defeated ends a campaign, of which the keeper tries its own again.
func (r *runner) defeated(own bool, err error) {
	r.adopting = time.Time{}
	seen := r.Status().Health
	if errors.Is(err, ErrDeposed) {
		// Somebody else is the primary now: this member has to rejoin.
		if serr := r.state.change(func(m *memory) { m.Role = roleFenced }); serr != nil {
			err = errors.Join(err, serr)
		}
	} else if own && r.o.Retake >= 0 {
		r.retake = r.o.Clock.Now().Add(r.o.Timing.Lease)
	}
	if seen.Writable {
		r.fence(err.Error())
		return
	}
	if seen.Running && seen.Role == standby.Standby && r.state.get().Role == roleStandby {
		r.become(Following, err.Error())
		return
	}
	r.become(Down, err.Error())
}

// won begins a tenure: from now on the deadline counts.
func (r *runner) won(t Tenure, q *request) {
	r.tenure = t
	last := r.state.get().Tenure
	r.highest = max(r.highest, t.Epoch())
	if t.Epoch() <= last {
		err := fault.WithHint(fmt.Errorf("%w: the lease has epoch %d, and this member was promoted under %d", ErrStale, t.Epoch(), last),
			"the servers lost a part of what they stored: write leases until their epoch is higher")
		r.giveUp(err.Error())
		q.reply(Answer{}, err)
		return
	}
	if err := r.arm(); err != nil {
		r.giveUp(err.Error())
		q.reply(Answer{}, err)
		return
	}
	var c *Command
	if q != nil {
		c = &q.command
	}
	r.start(t.Context(), Promoting, "", func(ctx context.Context) func() {
		bounded, cancel := context.WithTimeoutCause(ctx, r.o.PromoteTime, errors.New("the promotion took too long"))
		defer cancel()
		claimed, err := r.promote(bounded, t, c)
		return func() {
			r.adopting = time.Time{}
			if cause := context.Cause(ctx); cause != nil {
				err = fmt.Errorf("%w: %w", ErrFenced, cause)
			}
			if err != nil {
				if r.tenure != nil {
					r.giveUp("the promotion failed: " + err.Error())
				}
				if errors.Is(err, ErrDeposed) {
					r.retake = time.Time{}
				}
				q.reply(Answer{}, err)
				return
			}
			r.state.owe(0)
			r.answered, r.unanswered = r.o.Clock.Now(), 0
			r.care = care{known: claimed}
			r.become(Leading, "")
			q.reply(r.answer(t.Epoch(), "promoted"), nil)
			r.look()
		}
	})
}

// promote remembers the tenure, claims the service and makes the member writable, in this order.
func (r *runner) promote(ctx context.Context, t Tenure, c *Command) (known, error) {
	if err := r.state.change(func(m *memory) { m.Tenure = t.Epoch() }); err != nil {
		return known{}, err
	}
	claimed, err := r.claim(ctx, t.Epoch(), c)
	if err != nil {
		return known{}, err
	}
	if err := r.state.change(func(m *memory) { m.Role = rolePrimary }); err != nil {
		return known{}, err
	}
	if s, ok := r.o.Driver.(standby.Synchronizer); ok && r.o.Mode != Asynchronous {
		if err := s.SetSynchronous(ctx, r.nobody()); err != nil {
			return known{}, err
		}
	}
	if err := r.late(t); err != nil {
		return known{}, err
	}
	if err := r.o.Driver.Promote(ctx, t.Epoch()); err != nil {
		return known{}, err
	}
	return claimed, r.late(t)
}

// lose ends a tenure that others may already have taken over: nothing is more urgent than to
// stop the member.
func (r *runner) lose(why string) {
	epoch := r.tenure.Epoch()
	op := r.op
	if op != nil {
		op.cancel(fmt.Errorf("%w: %s", ErrFenced, why))
	}
	r.fenceAt(epoch, why)
	r.tenure, r.letGo = nil, false
	if op != nil {
		// What it was at may have come after the fence.
		r.complete()
		r.fenceAt(epoch, why)
	}
	r.disarm()
	r.become(r.Status().State, why)
	r.comeBack()
}

// giveUp stops the member and lets others have the lease.
func (r *runner) giveUp(why string) {
	r.letGo = true
	r.fence(why)
	r.comeBack()
}

// comeBack lets a former primary try again later, if nobody else took over and nobody forbade it.
func (r *runner) comeBack() {
	if r.o.Retake >= 0 && r.state.get().Role == rolePrimary {
		r.retake = r.o.Clock.Now().Add(r.o.Retake)
	}
}

// fence stops the member at once. When that fails it is tried again at each beat; the
// lease is not given back before.
func (r *runner) fence(why string) {
	r.fenceAt(max(r.state.get().Tenure, r.highest), why)
	if !r.unfenced && r.letGo {
		r.letGo = false
		r.release()
	}
}

func (r *runner) fenceAt(epoch uint64, why string) {
	if why == "" {
		why = r.Status().Reason
	}
	r.become(Fencing, why)
	ctx, cancel := r.stopTime()
	defer cancel()
	err := r.o.Driver.Fence(ctx, epoch)
	r.unfenced = err != nil && !errors.Is(err, standby.ErrUndelivered)
	if r.unfenced {
		r.update(func(s *Status) { s.Trouble = "it could not be stopped: " + err.Error() })
		return
	}
	r.stopped(epoch, err)
	r.become(Fenced, why)
}

// stopped takes note of a member that takes no writes. One that could not be told so, which is
// what err says, is told when it answers.
func (r *runner) stopped(epoch uint64, err error) {
	if err == nil {
		epoch = 0
	}
	r.state.owe(epoch)
	r.update(func(s *Status) {
		s.Health.Writable, s.Health.Running, s.Trouble, s.Untold = false, false, text(err), epoch != 0
	})
}

// settle writes down what the member has to be told, which was less urgent than to stop it.
func (r *runner) settle() {
	if _, written := r.state.owes(); written {
		return
	}
	if err := r.state.change(func(*memory) {}); err != nil {
		r.update(func(s *Status) { s.Trouble = err.Error() })
	}
}

// deliver tells a member that answers again that it was fenced while it was not there: it may have been
// started by somebody who knows nothing of that.
func (r *runner) deliver(h standby.Health) {
	now := r.o.Clock.Now()
	if !h.Writable && now.Before(r.retell) {
		return
	}
	r.retell = now.Add(r.o.Timing.Lease)
	const why = "it was stopped while it could not be told so, and is there again"
	if r.Status().State != Waiting {
		r.fence(why)
		return
	}
	owed, _ := r.state.owes()
	ctx, cancel := r.stopTime()
	err := r.o.Driver.Fence(ctx, owed)
	cancel()
	if err != nil && !errors.Is(err, standby.ErrUndelivered) {
		r.abort(ErrFenced)
		r.fence(why)
		return
	}
	r.stopped(owed, err)
}

// stopTime bounds one attempt to stop the member.
func (r *runner) stopTime() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.ctx), max(r.o.Timing.StopTime, shortestStop))
}

// shortestStop is how long one attempt to stop a member may take when the lease leaves none.
const shortestStop = 100 * time.Millisecond

// release gives the lease back. The member takes no writes.
func (r *runner) release() {
	t := r.tenure
	r.tenure = nil
	r.disarm()
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), r.o.Timing.RenewDeadline)
	defer cancel()
	if err := t.Release(ctx); err != nil {
		// It lapses by itself.
		r.update(func(s *Status) { s.Trouble = err.Error() })
	}
	r.update(func(s *Status) { s.Holds, s.Left, s.Secured = false, 0, nil })
}

// answer tells how the member is.
func (r *runner) answer(epoch uint64, detail string) Answer {
	s := r.Status()
	return Answer{State: s.State, Epoch: epoch, Position: s.Health.Position, Timeline: s.Health.Timeline, Detail: detail}
}
