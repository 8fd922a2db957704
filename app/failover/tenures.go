package failover

import (
	"context"
	"errors"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// tenures are the lease of one service as the keeper of one member wants it: watched
// all the time, and taken when the keeper asks. A lease that lapsed before the keeper
// was told to take over is won at once then, and not after waiting for it to lapse
// a second time.
type tenures struct {
	leases  *bus.Leases
	options bus.LeaseOptions
	clock   clock.Clock

	mu      sync.Mutex
	current *candidate
	arrived chan struct{} // closed when there is another candidate
}

// candidate is one wait for the lease.
type candidate struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	want   func()
	wanted chan struct{}
	ended  chan struct{} // closed when lease and err are set
	lease  *bus.Lease
	err    error
}

// watchAgain is the pause before a lease is watched again that could not be.
const watchAgain = 250 * time.Millisecond

func newTenures(b *bus.Bus, service, member string, timing messages.LeaseTiming, c clock.Clock) *tenures {
	return &tenures{
		leases: b.Leases(), clock: clock.Or(c), arrived: make(chan struct{}),
		options: bus.LeaseOptions{Name: messages.ServiceLease(service), Holder: member, Timing: timing},
	}
}

// run watches the lease until ctx ends.
func (t *tenures) run(ctx context.Context) error {
	for ctx.Err() == nil {
		c := &candidate{wanted: make(chan struct{}), ended: make(chan struct{})}
		c.ctx, c.cancel = context.WithCancelCause(ctx)
		c.want = sync.OnceFunc(func() { close(c.wanted) })
		t.mu.Lock()
		t.current = c
		close(t.arrived)
		t.arrived = make(chan struct{})
		t.mu.Unlock()
		o := t.options
		o.Wanted = c.wanted
		c.lease, c.err = t.leases.Acquire(c.ctx, o)
		c.cancel(nil)
		close(c.ended)
		if c.err != nil && t.clock.Sleep(ctx, watchAgain) != nil {
			break
		}
		if c.lease != nil && ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), c.lease.Release(context.WithoutCancel(ctx)))
		}
	}
	return context.Cause(ctx)
}

// next is the candidate that waits now, when it is not the one given, or the one that
// comes after it.
func (t *tenures) next(ctx context.Context, not *candidate) (*candidate, error) {
	for {
		t.mu.Lock()
		c, arrived := t.current, t.arrived
		t.mu.Unlock()
		if c != nil && c != not {
			return c, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Acquire implements keeper.Leases, for the one lease that is watched.
func (t *tenures) Acquire(ctx context.Context, _, _ string, _ messages.LeaseTiming) (keeper.Tenure, error) {
	var last *candidate
	for {
		c, err := t.next(ctx, last)
		if err != nil {
			return nil, err
		}
		last = c
		c.want()
		select {
		case <-c.ended:
		case <-ctx.Done():
			c.cancel(context.Cause(ctx))
			<-c.ended
			if c.lease != nil { // won in the same moment
				err = c.lease.Release(context.WithoutCancel(ctx))
			}
			return nil, errors.Join(context.Cause(ctx), err)
		}
		if c.err == nil {
			return c.lease, nil
		}
	}
}
