package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// verdict is what an attempt's end means.
type verdict struct {
	outcome messages.Outcome
	// apply makes the transition; it may be called again on a newer record.
	apply func(r messages.Record, now time.Time) (messages.Record, error)
	// refused says that the dead letter's cause is the job itself.
	refused bool
}

// judge decides what became of the attempt. A handler that finished its work
// succeeded, even if its context ended meanwhile.
func (a *attempt) judge(r result) verdict {
	attempt, cause := a.task.Attempt, context.Cause(a.ctx)
	value, err := encode(r.value)
	if err != nil {
		r.err = Discard(fmt.Errorf("encode the result of job %s: %w", a.task.Job.ID, err))
	}
	var (
		snooze  *snoozeError
		discard *discardError
		refused *messages.RefusedError
	)
	switch {
	case r.err == nil:
		return verdict{outcome: messages.OutcomeSucceeded, apply: func(rec messages.Record, now time.Time) (messages.Record, error) {
			return rec.Succeed(attempt, now, value)
		}}
	case errors.Is(cause, ErrCancelled):
		return a.cancelled()
	case errors.Is(cause, ErrInterrupted):
		return a.interrupted("worker " + a.task.Worker + " is stopping")
	case errors.Is(cause, ErrMoved):
		return a.interrupted("worker " + a.task.Worker + " takes no jobs of region " + a.task.Job.Region + " any more")
	case errors.Is(cause, ErrDeadline), errors.Is(cause, ErrTooLong):
		return a.retry(cause)
	case errors.As(r.err, &snooze):
		return verdict{outcome: messages.OutcomeSnoozed, apply: func(rec messages.Record, now time.Time) (messages.Record, error) {
			return rec.Snooze(attempt, now, now.Add(snooze.after), snooze.reason)
		}}
	case errors.As(r.err, &refused):
		return a.fail(r.err, nil, true)
	case errors.As(r.err, &discard):
		return a.fail(r.err, value, false)
	}
	return a.retry(r.err)
}

func (a *attempt) fail(err error, value []byte, refused bool) verdict {
	return verdict{outcome: messages.OutcomeFailed, refused: refused, apply: func(rec messages.Record, now time.Time) (messages.Record, error) {
		return rec.Fail(a.task.Attempt, now, messages.Failure{Error: describe(err)}, value)
	}}
}

// maxStack bounds a stack kept in a record, in bytes.
const maxStack = 16 << 10

func (a *attempt) retry(err error) verdict {
	f := messages.Failure{Error: describe(err)}
	var panicked *panicError
	if errors.As(err, &panicked) {
		f.Stack = cut(panicked.stack, maxStack)
	}
	chance := rand.Float64()
	return verdict{outcome: messages.OutcomeRetrying, apply: func(rec messages.Record, now time.Time) (messages.Record, error) {
		return rec.Retry(a.task.Attempt, now, now.Add(a.pool.Retry.Delay(rec.Spent+1, chance)), f)
	}}
}

func (a *attempt) interrupted(why string) verdict {
	return verdict{outcome: messages.OutcomeInterrupted, apply: func(rec messages.Record, now time.Time) (messages.Record, error) {
		return rec.Interrupt(a.task.Attempt, now, why)
	}}
}

func (a *attempt) cancelled() verdict {
	return verdict{outcome: messages.OutcomeCancelled, apply: func(rec messages.Record, now time.Time) (messages.Record, error) {
		return rec.Cancelled(a.task.Attempt, now)
	}}
}

// finish writes the outcome, tells it, and brings the message to its end, in
// this order. It does nothing once the claim is lost.
func (a *attempt) finish(r result) {
	p, job := a.pool, a.task.Job
	ran := p.Clock.Now().Sub(a.started)
	ctx, cancel := context.WithTimeout(a.base, a.message.AckWait()/2)
	defer cancel()
	v, err := a.judge(r), ErrLeaseLost
	if !a.lost() {
		v, err = a.commit(ctx, v)
	}
	switch {
	case errors.Is(err, ErrLeaseLost):
		p.Metrics.LeaseLost(job.Kind)
		p.Log.Warn().Str("job", job.ID).Uint64("attempt", a.task.Attempt).Msg("lost the claim; whoever holds it now goes on")
		return
	case err != nil: // the job is claimed again when the lease has run out
		p.trouble("commit outcome", job.ID, err)
		return
	}
	p.Metrics.JobEnded(job.Kind, job.Region, v.outcome, ran)
	p.Log.Info().Str("job", job.ID).Str("kind", string(job.Kind)).Str("source", job.Source()).Uint64("attempt", a.task.Attempt).
		Dur("ran", ran).Str("error", a.entry.Error).Msg("job " + string(v.outcome))
	a.report(p.Clock.Now())
	if err := a.close(ctx, v); err != nil { // the next delivery settles it
		p.trouble("finish", job.ID, err)
	}
}

// commit writes the outcome into the record, and returns the verdict as it
// came out: a retry may have been the last, a failure may have been cancelled.
func (a *attempt) commit(ctx context.Context, v verdict) (verdict, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.pool.Clock.Now() // the same in every try: it tells our own write from others'
	for {
		if a.entry.Cancel != nil && v.outcome != messages.OutcomeSucceeded {
			v = a.cancelled()
		}
		beat := messages.Beat{Progress: a.task.Meter.progress(now), Cursor: a.task.saved.get()}
		next, err := a.entry.Heartbeat(a.task.Attempt, now, 0, beat)
		if err != nil {
			return v, a.lose()
		}
		if next, err = v.apply(next, now); err != nil {
			return v, a.lose()
		}
		entry, err := a.update(ctx, next)
		if errors.Is(err, bus.ErrConflict) {
			entry, err = a.recognise(ctx, now)
		}
		switch {
		case err == nil && entry.State == messages.StateRunning: // changed by somebody else: again
		case err == nil:
			a.entry = entry
			if entry.State == messages.StateDead {
				v.outcome = messages.OutcomeDead
			}
			return v, nil
		case errors.Is(err, ErrLeaseLost) || ctx.Err() != nil:
			return v, err
		default:
			a.pool.trouble("commit outcome", a.task.Job.ID, err)
			if a.pool.Clock.Sleep(ctx, a.message.AckWait()/100) != nil {
				return v, err
			}
		}
	}
}

func (a *attempt) update(ctx context.Context, next messages.Record) (bus.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime(a.message))
	defer cancel()
	return a.pool.Bus.Records().Update(ctx, bus.Entry{Record: next, Revision: a.entry.Revision})
}

// recognise reads the record after a conflict: it is our own outcome whose
// acknowledgement was lost, or ours with somebody's change, or not ours.
func (a *attempt) recognise(ctx context.Context, wrote time.Time) (bus.Entry, error) {
	stored, err := a.pool.Bus.Records().Get(ctx, a.task.Job.ID)
	if err == nil && stored.Attempt == a.task.Attempt && stored.State != messages.StateRunning && stored.Updated.Equal(wrote) {
		return stored, nil
	}
	if err := a.reread(ctx); err != nil {
		return bus.Entry{}, err
	}
	return a.entry, nil
}

// close tells the outcome and brings the message to its end.
func (a *attempt) close(ctx context.Context, v verdict) error {
	p, rec := a.pool, a.entry.Record
	event := messages.NewEvent(rec, v.outcome, p.Clock.Now())
	switch rec.State {
	case messages.StateQueued:
		p.tell(ctx, event)
		p.handBack(ctx, a.message, rec.Job.ID, 0)
		return nil
	case messages.StateRetrying:
		p.tell(ctx, event)
		return p.wait(ctx, a.message, a.entry, rec.RetryAt.Sub(p.Clock.Now()))
	}
	if err := p.Bus.PublishEvent(ctx, event); err != nil {
		return err
	}
	if v.refused {
		p.Metrics.JobRefused(string(rec.Job.Kind), rec.Job.Region)
		if err := a.message.Bury(ctx, messages.DeadRefused, rec.Error, rec.Job.ID, rec.Attempt); err != nil {
			return err
		}
	} else if err := p.bringHome(ctx, a.message, rec); err != nil {
		return err
	}
	p.reply(a.message, event)
	return nil
}
