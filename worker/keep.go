package worker

import (
	"context"
	"errors"
	"time"

	"mahavishnu/messages"
)

// serveAfter is how long a job runs before its worker listens for requests
// about it. Short jobs are over before anyone could ask.
const serveAfter = 250 * time.Millisecond

// keeper holds the times at which an attempt needs care.
type keeper struct {
	*attempt
	beatAt, reportAt, serveAt time.Time
	deadline                  time.Time // zero: none, or passed
	overdue                   error     // what it means when the deadline passes
	abandonAt                 time.Time // zero: the context has not ended
	stopServing               func()
}

func newKeeper(a *attempt) *keeper {
	k := &keeper{attempt: a, deadline: a.entry.Job.Deadline, overdue: ErrDeadline, stopServing: func() {}}
	if k.deadline.IsZero() && a.pool.AttemptTime > 0 {
		k.deadline, k.overdue = a.started.Add(a.pool.AttemptTime), ErrTooLong
	}
	k.beatAt = a.renew.Add(a.message.AckWait() / 3)
	k.reportAt = a.started.Add(a.pool.ProgressEvery)
	k.serveAt = a.started.Add(serveAfter)
	return k
}

// keep cares for the attempt until its handler returns or is abandoned.
func (k *keeper) keep(results <-chan result) result {
	a := k.attempt
	defer func() { k.stopServing() }()

	timer := a.pool.Clock.NewTimer(k.next().Sub(a.started))
	defer timer.Stop()
	ended := a.ctx.Done()
	for {
		select {
		case r := <-results:
			return r
		case <-ended:
			ended = nil
			k.abandonAt = a.pool.Clock.Now().Add(a.pool.StopTime)
		case req := <-a.asked:
			k.once(func(ctx context.Context) error { return a.requestCancel(ctx, req) })
		case <-timer.C():
			if k.tick(a.pool.Clock.Now()) {
				a.pool.Metrics.HandlerStuck(a.task.Job.Kind)
				a.pool.Log.Error().Str("job", a.task.Job.ID).Stringer("after", a.pool.StopTime).
					Msg("the handler did not return when told to; its attempt is fenced and abandoned")
				return result{err: context.Cause(a.ctx)}
			}
		}
		timer.Reset(max(k.next().Sub(a.pool.Clock.Now()), 0))
	}
}

// next is the earliest time at which something is to be done.
func (k *keeper) next() time.Time {
	at := k.beatAt
	for _, t := range []time.Time{k.reportAt, k.serveAt, k.deadline, k.abandonAt} {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return at
}

// tick does what is due; true means that the handler is given up.
func (k *keeper) tick(now time.Time) bool {
	due := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if due(k.abandonAt) {
		return true
	}
	if due(k.deadline) {
		k.deadline = time.Time{}
		k.cancel(k.overdue)
	}
	if due(k.beatAt) {
		k.beat()
	}
	if due(k.reportAt) {
		k.reportAt = now.Add(k.pool.ProgressEvery)
		k.report(now)
	}
	if due(k.serveAt) {
		k.serveAt = time.Time{}
		k.serve()
	}
	return false
}

// beat renews the claim: the record's lease, which is the truth, then the
// message, so that the server does not offer it to others. Only the record
// decides: others that get the message early find the job held.
func (k *keeper) beat() {
	ackWait := k.message.AckWait()
	if k.lost() {
		k.beatAt = k.pool.Clock.Now().Add(ackWait)
		return
	}
	err := k.within(k.extend)
	k.once(k.message.Extend)
	now := k.pool.Clock.Now()
	switch end := k.leaseEnd(); {
	case err == nil:
		k.beatAt = now.Add(ackWait / 3)
	case errors.Is(err, ErrLeaseLost):
		k.beatAt = now.Add(ackWait)
	default:
		k.pool.Metrics.BeatMissed(k.task.Job.Kind)
		k.pool.trouble("heartbeat", k.task.Job.ID, err)
		if !now.Before(end) {
			k.cancel(ErrLeaseLost)
		}
		k.beatAt = now.Add(min(ackWait/12, max(end.Sub(now), 0)))
	}
}

// report publishes progress when there is news.
func (a *attempt) report(now time.Time) {
	p := a.task.Meter.news(now)
	if p == nil {
		return
	}
	report := messages.ProgressReport{Job: a.task.Job.ID, Kind: a.task.Job.Kind, Attempt: a.task.Attempt, Worker: a.task.Worker, Progress: *p}
	if err := a.pool.Bus.PublishProgress(report); err != nil {
		a.pool.trouble("progress", a.task.Job.ID, err)
	}
}

// serve listens for requests about the job, then looks whether one was written
// before anybody listened.
func (k *keeper) serve() {
	stop, err := k.pool.Bus.ServeJob(k.task.Job.ID, k.control)
	if err != nil {
		k.pool.trouble("listen", k.task.Job.ID, err) // the next beat sees the record
		return
	}
	k.stopServing = stop
	k.once(k.look)
}

// control answers a request about the job.
func (a *attempt) control(req messages.ControlRequest) messages.ControlReply {
	if req.Verb != messages.VerbCancel {
		return messages.ControlReply{Node: a.pool.Node, Message: "a job understands " + string(messages.VerbCancel) + " only"}
	}
	select {
	case a.asked <- req:
	default: // one is on its way already
	}
	return messages.ControlReply{OK: true, Node: a.pool.Node, Message: "cancelling"}
}

// within makes one request in its time.
func (k *keeper) within(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(k.base, requestTime(k.message))
	defer cancel()
	return do(ctx)
}

// once makes a request that is not repeated: when it fails, the next heartbeat
// makes up for it.
func (k *keeper) once(do func(context.Context) error) {
	if err := k.within(do); err != nil && !errors.Is(err, ErrLeaseLost) {
		k.pool.trouble("keep", k.task.Job.ID, err)
	}
}
