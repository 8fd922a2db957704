package app

import (
	"context"
	"errors"
	"time"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/scheduler"
	"mahavishnu/worker"
)

// The leases of what one process of the system does at a time, beside the
// scheduler's own.
const (
	leaseReconciler = "reconciler"
	leaseCatalog    = "catalog"
)

// readerCatalog is the catalog's durable place in the event stream.
const readerCatalog = "catalog"

// startScheduler runs the scheduler, and what else one process of the system
// does at a time: the reconciler and the catalog.
func (a *App) startScheduler(context.Context) error {
	if !a.Roles.Scheduler {
		return nil
	}
	plan, err := a.planOf(a.cfg)
	if err != nil {
		return err
	}
	log := a.Log.With().Str("part", "scheduler").Logger()
	o := scheduler.Options{
		Plan: plan, Holder: a.Config.Node.Name, Metrics: a.metrics, Clock: a.Clock,
		Report: func(err error) { log.Warn().Err(err).Msg("the scheduler goes on after an error") },
	}
	if err := o.Connect(a.bus, LeaseTiming(a.cfg.NATS.Lease)); err != nil {
		return err
	}
	if a.scheduler, err = scheduler.New(o); err != nil {
		return err
	}
	a.launch("scheduler", a.scheduler.Run)
	a.launch("reconciler", a.lead(leaseReconciler, worker.NewReconciler(worker.ReconcilerOptions{
		Bus: a.bus, Clock: a.Clock, Metrics: a.metrics,
		Log: a.Log.With().Str("part", "reconciler").Logger(),
	}).Run))
	if a.alone { // its events are handed over, and told and counted then
		return nil
	}
	a.launch("catalog", a.lead(leaseCatalog, a.keepCatalog))
	a.launch("event metrics", a.again("event metrics", a.countEvents))
	a.launch("queue metrics", a.again("queue metrics", a.measureQueue))
	return nil
}

// LeaseTiming is how a lease is held that is configured so.
func LeaseTiming(l config.Lease) messages.LeaseTiming {
	d := time.Duration(l.Duration)
	return messages.LeaseTiming{
		RenewEvery:    time.Duration(l.RenewInterval),
		RenewDeadline: time.Duration(l.RenewDeadline),
		StopTime:      time.Duration(l.StopTime),
		Margin:        time.Duration(l.Margin),
		Lease:         d,
		Promotion:     d + time.Duration(l.Margin),
	}
}

// lead returns a role that runs only while this process holds the lease.
func (a *App) lead(name string, run func(context.Context) error) func(context.Context) error {
	return a.again(name, func(ctx context.Context) error {
		lease, err := a.bus.Leases().Acquire(ctx, bus.LeaseOptions{
			Name: name, Holder: a.Config.Node.Name, Timing: LeaseTiming(a.config().NATS.Lease),
		})
		if err != nil {
			return err
		}
		a.metrics.LeaseWon(name, lease.Epoch())
		defer a.metrics.LeaseEnded(name)
		held, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(lease.Context(), func() { cancel(context.Cause(lease.Context())) })()
		err = run(held)
		if lease.Context().Err() != nil {
			return errors.Join(err, context.Cause(lease.Context()))
		}
		free, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		return errors.Join(err, lease.Release(free))
	})
}

// again returns a role that starts over when what it runs ends with an error:
// a queue that is away for a while must not end the process.
func (a *App) again(name string, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				a.Log.Warn().Err(err).Str("part", name).Msg("starting over after an error")
			}
			if a.Clock.Sleep(ctx, time.Second) != nil {
				break
			}
		}
		return nil
	}
}
