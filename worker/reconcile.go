package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// Mend is something a reconciler puts right.
type Mend string

// What a reconciler puts right.
const (
	// MendAccepted: a job sent by hand waited without a record; it has one now.
	MendAccepted Mend = "accepted"
	// MendWoken: a record that should run had no message; it has one now.
	MendWoken Mend = "woken"
	// MendDropped: a message of a finished job was taken out of the queue.
	MendDropped Mend = "dropped"
	// MendUnrouted: a message on a subject nobody reads became a dead letter.
	MendUnrouted Mend = "unrouted"
	// MendRemoved: the record of a job finished long ago was deleted.
	MendRemoved Mend = "removed"
)

// ReconcilerOptions say how a reconciler goes about it. Bus is required.
type ReconcilerOptions struct {
	Bus *bus.Bus
	// Every is the pause between sweeps; after a long sweep it is ten times as
	// long as that took. Zero is 10 s.
	Every time.Duration
	// Settle is how long a record must have been left alone before a missing
	// message, or one too many, is believed: whoever works on it may be between
	// two writes. Zero is 1 min.
	Settle time.Duration
	// StuckAfter is how long after its lease a running job without a worker is
	// called stuck. Zero is 5 min.
	StuckAfter time.Duration
	// Keep is how long finished records are kept. Zero is 30 days, negative for
	// ever.
	Keep time.Duration
	// Clock is the time; nil is the machine's.
	Clock clock.Clock
	// Log tells what no error can be returned for. The zero value is silent.
	Log zerolog.Logger
	// Metrics counts; nil counts nothing.
	Metrics Metrics
}

// Reconciler makes records and messages agree: records are the truth, messages
// the wake-ups, and a crash between two writes can leave one without the other.
// The leader runs it; two at once do no harm, only double work.
type Reconciler struct{ o ReconcilerOptions }

// NewReconciler returns a reconciler.
func NewReconciler(o ReconcilerOptions) *Reconciler {
	if o.Every <= 0 {
		o.Every = 10 * time.Second
	}
	if o.Settle <= 0 {
		o.Settle = time.Minute
	}
	if o.StuckAfter <= 0 {
		o.StuckAfter = 5 * time.Minute
	}
	if o.Keep == 0 {
		o.Keep = 30 * 24 * time.Hour
	}
	if o.Metrics == nil {
		o.Metrics = NoMetrics{}
	}
	o.Clock = clock.Or(o.Clock)
	return &Reconciler{o}
}

// Report is what one sweep found and did.
type Report struct {
	// Accepted are the jobs sent by hand that got a record.
	Accepted []string
	// Woken are the jobs that got a new message.
	Woken []string
	// Dropped are the sequences of messages of finished jobs.
	Dropped []uint64
	// Unrouted are the dead letters of messages nobody reads.
	Unrouted []messages.DeadLetter
	// Removed are the jobs whose records were deleted.
	Removed []string
	// Stuck are jobs whose worker has been silent for long and that nobody took
	// over: no worker takes their kind and region, or all are busy.
	Stuck []messages.Record
}

// Run sweeps until ctx ends. What fails is logged and tried again in the next
// sweep.
func (r *Reconciler) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		begin := r.o.Clock.Now()
		if _, err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
			r.o.Metrics.BusError("reconcile")
			r.o.Log.Warn().Err(err).Msg("the reconciler could not finish its sweep")
		}
		took := r.o.Clock.Now().Sub(begin)
		r.o.Clock.Sleep(ctx, max(r.o.Every, 10*took)) //nolint:errcheck // the loop looks at ctx itself
	}
	return nil
}

// Sweep makes records and messages agree once. It does what it can: an error
// joins what failed, and the report tells what was done all the same.
func (r *Reconciler) Sweep(ctx context.Context) (Report, error) {
	var report Report
	var failed []error
	unrouted, err := r.o.Bus.Sweep(ctx)
	failed = append(failed, err)
	report.Unrouted = unrouted

	// Records before messages: a message published in between is seen, and so
	// its record is not woken twice.
	entries, err := r.o.Bus.Records().List(ctx, bus.Filter{})
	failed = append(failed, err)
	queued, err := r.queued(ctx)
	if err != nil {
		return report, errors.Join(append(failed, err)...)
	}
	now := r.o.Clock.Now()
	failed = append(failed, r.accept(ctx, entries, queued, now, &report))
	for _, e := range entries {
		if err := r.mend(ctx, e, queued[e.Job.ID], now, &report); err != nil {
			failed = append(failed, fmt.Errorf("reconcile job %s: %w", e.Job.ID, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	r.count(report)
	return report, errors.Join(failed...)
}

// queued lists the messages by job.
func (r *Reconciler) queued(ctx context.Context) (map[string][]bus.QueuedMessage, error) {
	queued := map[string][]bus.QueuedMessage{}
	err := r.o.Bus.Queued(ctx, func(m bus.QueuedMessage) error {
		if m.Job != "" {
			queued[m.Job] = append(queued[m.Job], m)
		}
		return nil
	})
	return queued, err
}

// mend makes one record and its messages agree.
func (r *Reconciler) mend(ctx context.Context, e bus.Entry, queued []bus.QueuedMessage, now time.Time, report *Report) error {
	if e.State == messages.StateRunning && now.Sub(e.LeaseUntil) >= r.o.StuckAfter {
		report.Stuck = append(report.Stuck, e.Record)
	}
	switch {
	case e.State.Final() && len(queued) > 0:
		return r.drop(ctx, e, queued, now, report)
	case e.State.Final():
		if r.o.Keep < 0 || now.Sub(e.Finished) < r.o.Keep {
			return nil
		}
		err := r.o.Bus.Records().Remove(ctx, e)
		switch {
		case err == nil:
			report.Removed = append(report.Removed, e.Job.ID)
		case errors.Is(err, bus.ErrConflict): // redriven in this moment
			err = nil
		}
		return err
	case len(queued) == 0 && r.overdue(e.Record, now):
		err := r.o.Bus.Wake(ctx, e)
		if err == nil {
			report.Woken = append(report.Woken, e.Job.ID)
		}
		return err
	}
	return nil
}

// overdue reports whether a record without a message should have one.
func (r *Reconciler) overdue(rec messages.Record, now time.Time) bool {
	if now.Before(rec.Due()) {
		return false
	}
	switch rec.State {
	case messages.StateQueued: // the submitter or the last worker may be about to publish
		return now.Sub(rec.Updated) >= r.o.Settle
	case messages.StateRetrying: // parked, or its message was lost
		return true
	case messages.StateRunning: // its worker died, and the message is lost
		return now.Sub(rec.LeaseUntil) >= r.o.Settle
	}
	return false
}

// drop takes the messages of a job that ended well, or was cancelled, out of
// the queue. Those of failed and dead jobs are left to the workers, who make
// sure that there is a dead letter first.
func (r *Reconciler) drop(ctx context.Context, e bus.Entry, queued []bus.QueuedMessage, now time.Time, report *Report) error {
	if now.Sub(e.Finished) < r.o.Settle || e.State != messages.StateSucceeded && e.State != messages.StateCancelled {
		return nil
	}
	// The messages were listed after the record was read. If the record is
	// still the same now, they are none of a redrive.
	again, err := r.o.Bus.Records().Get(ctx, e.Job.ID)
	if err != nil || again.Revision != e.Revision {
		return err
	}
	for _, m := range queued {
		if err := r.o.Bus.Drop(ctx, m.Sequence); err != nil {
			return err
		}
		report.Dropped = append(report.Dropped, m.Sequence)
	}
	return nil
}

func (r *Reconciler) count(report Report) {
	for what, n := range map[Mend]int{
		MendAccepted: len(report.Accepted), MendWoken: len(report.Woken), MendDropped: len(report.Dropped),
		MendUnrouted: len(report.Unrouted), MendRemoved: len(report.Removed),
	} {
		if n > 0 {
			r.o.Metrics.Reconciled(string(what), n)
		}
	}
	for _, l := range report.Unrouted {
		kind, region, _ := messages.SplitJobSubject(l.Subject)
		r.o.Metrics.JobRefused(kind, region)
	}
	r.o.Metrics.JobsStuck(len(report.Stuck))
}
