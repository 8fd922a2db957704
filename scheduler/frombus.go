package scheduler

import (
	"context"
	"errors"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

const (
	// LeaseName is the lease that the leading scheduler holds.
	LeaseName = "scheduler"
	// EventReader is the durable reader of events that the provisioner must
	// create for the follow-ups.
	EventReader = "scheduler"
)

// Connect fills in what a scheduler needs of the bus: Queue, Elector, Store
// and Events. Holder must be set; the lease's timing may be zero.
func (o *Options) Connect(b *bus.Bus, timing messages.LeaseTiming) error {
	store, err := b.Store(messages.BucketCatalog)
	if err != nil {
		return err
	}
	o.Queue = busQueue{b}
	o.Elector = busElector{b, bus.LeaseOptions{Name: LeaseName, Holder: o.Holder, Timing: timing}}
	o.Store = busStore{store}
	o.Events = busEvents{b}
	if o.Regions == nil {
		regions, err := b.Store(messages.BucketLeases)
		if err != nil {
			return err
		}
		o.Regions = busRegions{regions}
	}
	return nil
}

type busQueue struct{ bus *bus.Bus }

func (q busQueue) Submit(ctx context.Context, job messages.Job) (bool, error) {
	submitted, err := q.bus.Submit(ctx, job)
	if errors.Is(err, bus.ErrDifferentJob) {
		// The slot has its job, made from an earlier configuration.
		return false, nil
	}
	return submitted.New, err
}

func (q busQueue) State(ctx context.Context, id string) (messages.State, bool, error) {
	e, err := q.bus.Records().Get(ctx, id)
	if errors.Is(err, bus.ErrNotFound) {
		return "", false, nil
	}
	return e.State, err == nil, err
}

type busElector struct {
	bus     *bus.Bus
	options bus.LeaseOptions
}

func (e busElector) Acquire(ctx context.Context) (Lease, error) {
	lease, err := e.bus.Leases().Acquire(ctx, e.options)
	if err != nil {
		return nil, err
	}
	return lease, nil
}

type busStore struct{ store *bus.Store }

func (s busStore) Each(ctx context.Context, prefix string, fn func(string, []byte, uint64) error) error {
	return s.store.Each(ctx, prefix+">", func(v bus.Value) error { return fn(v.Key, v.Data, v.Revision) })
}

func (s busStore) Save(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	var err error
	if revision == 0 {
		revision, err = s.store.Create(ctx, key, value)
	} else {
		revision, err = s.store.Update(ctx, key, value, revision)
	}
	return revision, stale(err)
}

func (s busStore) Delete(ctx context.Context, key string, revision uint64) error {
	return stale(s.store.Delete(ctx, key, revision))
}

func stale(err error) error {
	if errors.Is(err, bus.ErrConflict) || errors.Is(err, bus.ErrExists) {
		return errors.Join(ErrStale, err)
	}
	return err
}

type busEvents struct{ bus *bus.Bus }

func (e busEvents) Publish(ctx context.Context, event messages.Event) error {
	return e.bus.PublishEvent(ctx, event)
}

func (e busEvents) Follow(ctx context.Context, fn func(context.Context, messages.Event) error) error {
	return e.bus.Events(ctx, EventReader, func(ctx context.Context, m bus.EventMessage) error { return fn(ctx, m.Event) })
}

// busRegions are the records of regions in the queue.
type busRegions struct{ store *bus.Store }

func (r busRegions) Follow(ctx context.Context, fn func(messages.Regions)) error {
	return bus.FollowRegions(ctx, r.store, func(all messages.Regions) error {
		fn(all)
		return nil
	})
}
