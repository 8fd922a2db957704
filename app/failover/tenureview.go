package failover

import (
	"context"
	"errors"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// leaseViews follow who holds the leases of services, to tell when one has lapsed:
// when it was released, or has not changed on this machine's clock for as long as a
// candidate waits.
type leaseViews struct {
	store  *bus.Store
	lapses time.Duration
	clock  clock.Clock
	began  time.Time // when it began to watch

	mu    sync.Mutex
	views map[string]leaseSeen
}

// leaseSeen is a lease as it was last seen, and when.
type leaseSeen struct {
	messages.LeaseValue
	revision uint64
	changed  time.Time
}

func newLeaseViews(store *bus.Store, timing messages.LeaseTiming, c clock.Clock) *leaseViews {
	return &leaseViews{store: store, lapses: timing.Promotion, clock: c, began: c.Now(), views: map[string]leaseSeen{}}
}

// follow watches the lease of a service until ctx ends, and tells who holds it at
// every change, renewals too.
func (l *leaseViews) follow(ctx context.Context, service string, tell func(holder string, epoch uint64) error) error {
	return l.store.Follow(ctx, messages.ServiceLease(service), func(v bus.Value) error {
		seen := leaseSeen{revision: v.Revision, changed: l.clock.Now()}
		if !v.Deleted {
			lease, err := messages.DecodeLease(v.Data)
			if err != nil {
				return err
			}
			if lease.Epoch == 0 {
				lease.Epoch = v.Revision // the write that won it
			}
			seen.LeaseValue = lease
		}
		l.mu.Lock()
		if v.Revision != l.views[service].revision { // a watch that was set up again repeats what is there
			l.views[service] = seen
		}
		l.mu.Unlock()
		return tell(seen.Holder, seen.Epoch)
	})
}

// holder is who holds the lease of a service; "" when nobody does. It tells people and
// plans when to go on; whoever acts has to win the lease by compare-and-set.
func (l *leaseViews) holder(service string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, ok := l.views[service]
	if !ok || l.clock.Now().Sub(seen.changed) >= l.lapses {
		return ""
	}
	return seen.Holder
}

// without reports whether it is certain that a member does not hold the lease of its
// service: the queue says now that nobody does, or somebody else, or that it was not
// renewed for as long as a candidate waits.
func (l *leaseViews) without(ctx context.Context, service, member string) (bool, error) {
	v, err := l.store.Get(ctx, messages.ServiceLease(service))
	if errors.Is(err, bus.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	lease, err := messages.DecodeLease(v.Data)
	if err != nil || lease.Holder != member {
		return err == nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.views[service]
	return seen.revision == v.Revision && l.clock.Now().Sub(seen.changed) >= l.lapses, nil
}
