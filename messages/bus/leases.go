package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

const defaultLease = 15 * time.Second

// Leases are roles that one node at a time may hold, as keys of dr_leases.
//
// A candidate takes a lease by compare-and-set: at once when nobody holds it,
// and otherwise when it has seen no change for Timing.Promotion on its own
// clock. It never compares a wall clock with a time somebody else wrote, and
// what it sees only tells it when to try: the write decides.
type Leases struct {
	store leaseStore
	clock clock.Clock
}

// leaseStore is what a lease needs of a bucket.
type leaseStore interface {
	Get(ctx context.Context, key string) (Value, error)
	Create(ctx context.Context, key string, data []byte) (uint64, error)
	Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error)
	Watch(ctx context.Context, pattern string, fn func(Value) error) error
	Now(ctx context.Context) (time.Time, error)
}

// LeaseOptions say which lease, for whom.
type LeaseOptions struct {
	// Name is the role, as in messages.ValidLease; Holder is the node, as in
	// messages.ValidName.
	Name, Holder string
	// Timing must satisfy its Check; zero is that of a 15 second lease.
	Timing messages.LeaseTiming
	// Wanted, when set, is closed once the lease shall be taken; until then it is
	// only watched, so that a lease that has lapsed in the meantime is taken at
	// once, without another wait for Timing.Promotion.
	Wanted <-chan struct{}
	// Alive, when set, is asked before each renewal whether the holder is still at work. While it
	// says no nothing is renewed, and the lease lapses: one that is renewed for a holder that
	// hangs (on a disk, on a lock) would keep everybody else away for good. It must not block.
	Alive func() bool
}

func (o LeaseOptions) check() error {
	switch {
	case !messages.ValidLease(o.Name):
		return fmt.Errorf("%q cannot be a lease", o.Name)
	case !messages.ValidName(o.Holder):
		return fmt.Errorf("%q cannot be a holder", o.Holder)
	}
	return o.Timing.Check()
}

// Get tells who seems to hold a lease: for people to read, not to decide on.
func (l *Leases) Get(ctx context.Context, name string) (messages.LeaseValue, error) {
	_, lease, err := l.read(ctx, name)
	return lease, err
}

func (l *Leases) read(ctx context.Context, name string) (Value, messages.LeaseValue, error) {
	v, err := l.store.Get(ctx, name)
	if err != nil {
		return v, messages.LeaseValue{}, err
	}
	lease, err := messages.DecodeLease(v.Data)
	if err != nil {
		return v, messages.LeaseValue{}, fault.New("read lease", name, err, "")
	}
	if lease.Epoch == 0 {
		lease.Epoch = v.Revision // the write that won it
	}
	return v, lease, nil
}

// Acquire waits until the lease is held, or ctx ends. The lease renews itself
// until Release, or until it is lost.
func (l *Leases) Acquire(ctx context.Context, o LeaseOptions) (*Lease, error) {
	if o.Timing == (messages.LeaseTiming{}) {
		o.Timing = messages.TimingFor(defaultLease)
	}
	if err := o.check(); err != nil {
		return nil, fault.New("acquire lease", o.Name, err, "")
	}
	c := &candidate{store: l.store, clock: clock.Or(l.clock), o: o, nonce: rand.Text()}
	return c.run(ctx)
}

// candidate is one call of Acquire.
type candidate struct {
	store leaseStore
	clock clock.Clock
	o     LeaseOptions
	nonce string
}

func (c *candidate) run(ctx context.Context) (*Lease, error) {
	if c.o.Wanted == nil {
		if lease, _, err := c.take(ctx, 0); err != nil || lease != nil {
			return lease, err
		}
	}
	watching, stop := context.WithCancel(ctx)
	changes, ended := make(chan Value), make(chan error, 1)
	go func() {
		ended <- c.store.Watch(watching, c.o.Name, func(v Value) error {
			select {
			case changes <- v:
				return nil
			case <-watching.Done():
				return context.Cause(watching)
			}
		})
	}()
	lease, watchEnded, err := c.follow(ctx, changes, ended)
	stop()
	if !watchEnded {
		<-ended //nolint:errcheck // it was told to stop; what it says of that is of no use
	}
	return lease, err
}

// follow tries, once the lease is wanted, whenever what it sees gives a reason to.
func (c *candidate) follow(ctx context.Context, changes <-chan Value, ended <-chan error) (_ *Lease, watchEnded bool, _ error) {
	var seen Value
	wanted := c.o.Wanted // nil when it is
	timer := c.clock.NewTimer(c.o.Timing.Promotion)
	defer timer.Stop()
	for lapsed := false; ; {
		select {
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		case err := <-ended:
			return nil, true, err
		case <-wanted:
			wanted = nil
			lapsed = lapsed || seen.Revision == 0 // nobody ever held it, or that is not known yet: trying tells
		case v := <-changes:
			if v.Revision == seen.Revision {
				continue // a watch that was set up again repeats what is there
			}
			seen, lapsed = v, c.isFree(v)
			timer.Reset(c.o.Timing.Promotion)
		case <-timer.C():
			lapsed = true
		}
		if !lapsed || wanted != nil {
			continue
		}
		revision := seen.Revision
		if seen.Deleted {
			revision = 0
		}
		lease, unanswered, err := c.take(ctx, revision)
		if err != nil || lease != nil {
			return lease, false, err
		}
		lapsed = false
		if unanswered {
			timer.Reset(min(takeAgain, c.o.Timing.Promotion)) // on the same revision, which is as old as before
		} else {
			timer.Reset(c.o.Timing.Promotion)
		}
	}
}

// isFree reports whether a lease may be taken without waiting: it was
// released, or this candidate wrote it and never heard so.
func (c *candidate) isFree(v Value) bool {
	if v.Deleted {
		return true
	}
	lease, err := messages.DecodeLease(v.Data)
	return err == nil && (lease.Holder == "" || lease.Nonce == c.nonce)
}

// takeAgain is the pause before a lease is tried to be taken again of which nobody said
// that it was not.
const takeAgain = 250 * time.Millisecond

// take tries once, by compare-and-set on a revision (0: no such key). It
// returns no lease and no error when somebody else has it, or nobody answers: then it may
// be taken all the same, which the watch tells.
func (c *candidate) take(ctx context.Context, revision uint64) (_ *Lease, unanswered bool, _ error) {
	sent := c.clock.Now()
	try, cancel := context.WithTimeout(ctx, c.o.Timing.RenewDeadline)
	defer cancel()
	data, err := c.value(0, sent).Encode()
	if err != nil {
		return nil, false, err
	}
	var epoch uint64
	if revision == 0 {
		epoch, err = c.store.Create(try, c.o.Name, data)
	} else {
		epoch, err = c.store.Update(try, c.o.Name, data, revision)
	}
	switch {
	case err == nil:
		return c.hold(ctx, epoch, sent), false, nil
	case ctx.Err() != nil:
		return nil, false, context.Cause(ctx)
	case errors.Is(err, ErrConflict), errors.Is(err, ErrExists):
		return nil, false, nil
	case temporary(err):
		return nil, true, nil
	}
	return nil, false, err
}

func (c *candidate) value(epoch uint64, sent time.Time) messages.LeaseValue {
	return messages.LeaseValue{
		Holder: c.o.Holder, Epoch: epoch, Nonce: c.nonce,
		DeadlineMillis: sent.Add(c.o.Timing.RenewDeadline).UnixMilli(),
	}
}
