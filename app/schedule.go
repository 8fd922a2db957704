package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/scheduler"
	"mahavishnu/worker"
)

// The durable readers of the event stream, and the leases.
const (
	readerScheduler = "scheduler"
	readerCatalog   = "catalog"

	leaseScheduler  = "scheduler"
	leaseReconciler = "reconciler"
)

// startScheduler runs the scheduler, and beside it the reconciler and the
// catalog, each in one process of the system at a time.
func (a *App) startScheduler(context.Context) error {
	if !a.Roles.Scheduler {
		return nil
	}
	plan, err := scheduler.FromConfig(a.cfg)
	if err != nil {
		return err
	}
	store, err := a.bus.Store(messages.BucketNodes)
	if err != nil {
		return err
	}
	log := a.Log.With().Str("part", "scheduler").Logger()
	a.scheduler, err = scheduler.New(scheduler.Options{
		Plan:    plan,
		Queue:   schedulerQueue{a.bus},
		Elector: elector{a.bus, a.lease(leaseScheduler)},
		Store:   schedulerStore{store},
		Events:  schedulerEvents{a.bus},
		Holder:  a.Config.Node.Name,
		Metrics: a.metrics,
		Report:  func(err error) { log.Warn().Err(err).Msg("the scheduler goes on after an error") },
		Clock:   a.Clock,
	})
	if err != nil {
		return err
	}
	a.launch("scheduler", a.scheduler.Run)
	a.launch("reconciler", a.lead(leaseReconciler, worker.NewReconciler(worker.ReconcilerOptions{
		Bus: a.bus, Clock: a.Clock, Metrics: a.metrics,
		Log: a.Log.With().Str("part", "reconciler").Logger(),
	}).Run))
	return nil
}

// lease says how a lease of that name is held.
func (a *App) lease(name string) bus.LeaseOptions {
	return bus.LeaseOptions{Name: name, Holder: a.Config.Node.Name, Timing: leaseTiming(a.cfg.NATS.Lease)}
}

func leaseTiming(l config.Lease) messages.LeaseTiming {
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
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			err := a.leadOnce(ctx, name, run)
			if err != nil && ctx.Err() == nil {
				a.Log.Warn().Err(err).Str("lease", name).Msg("stopped leading")
			}
			if a.Clock.Sleep(ctx, time.Second) != nil {
				break
			}
		}
		return nil
	}
}

func (a *App) leadOnce(ctx context.Context, name string, run func(context.Context) error) error {
	lease, err := a.bus.Leases().Acquire(ctx, a.lease(name))
	if err != nil {
		return err
	}
	held, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(lease.Context(), func() { cancel(context.Cause(lease.Context())) })()
	err = run(held)
	free, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	if lease.Context().Err() != nil {
		return errors.Join(err, context.Cause(lease.Context()))
	}
	return errors.Join(err, lease.Release(free))
}

// schedulerQueue lets the scheduler submit jobs.
type schedulerQueue struct{ bus *bus.Bus }

func (q schedulerQueue) Submit(ctx context.Context, job messages.Job) (bool, error) {
	sent, err := q.bus.Submit(ctx, job)
	return sent.New, err
}

func (q schedulerQueue) State(ctx context.Context, id string) (messages.State, bool, error) {
	e, err := q.bus.Records().Get(ctx, id)
	if errors.Is(err, bus.ErrNotFound) {
		return "", false, nil
	}
	return e.State, err == nil, err
}

// elector lets one scheduler lead.
type elector struct {
	bus     *bus.Bus
	options bus.LeaseOptions
}

func (e elector) Acquire(ctx context.Context) (scheduler.Lease, error) {
	lease, err := e.bus.Leases().Acquire(ctx, e.options)
	if err != nil {
		return nil, err
	}
	return lease, nil
}

// schedulerStore keeps what slots have been decided.
type schedulerStore struct{ store *bus.Store }

func (s schedulerStore) Each(ctx context.Context, prefix string, fn func(string, []byte, uint64) error) error {
	// A key is one token to the bucket, so a prefix is looked for here.
	return s.store.Each(ctx, "", func(v bus.Value) error {
		if v.Deleted || !strings.HasPrefix(v.Key, prefix) {
			return nil
		}
		return fn(v.Key, v.Data, v.Revision)
	})
}

func (s schedulerStore) Save(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	var err error
	if revision == 0 {
		revision, err = s.store.Create(ctx, key, value)
	} else {
		revision, err = s.store.Update(ctx, key, value, revision)
	}
	return revision, stale(err)
}

func (s schedulerStore) Delete(ctx context.Context, key string, revision uint64) error {
	return stale(s.store.Delete(ctx, key, revision))
}

func stale(err error) error {
	if errors.Is(err, bus.ErrExists) || errors.Is(err, bus.ErrConflict) {
		return errors.Join(scheduler.ErrStale, err)
	}
	return err
}

// schedulerEvents lets the scheduler tell and hear what becomes of jobs.
type schedulerEvents struct{ bus *bus.Bus }

func (s schedulerEvents) Publish(ctx context.Context, e messages.Event) error {
	return s.bus.PublishEvent(ctx, e)
}

func (s schedulerEvents) Follow(ctx context.Context, fn func(context.Context, messages.Event) error) error {
	return s.bus.Events(ctx, readerScheduler, func(ctx context.Context, m bus.EventMessage) error {
		return fn(ctx, m.Event)
	})
}
