package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mahavishnu/messages"
)

// Lease is a role held by this node.
//
// The holder measures its deadline from when it *sent* the last renewal that
// was acknowledged. The server saw that renewal later, and a candidate later
// still, so this side has stopped before any other may start, as long as the
// two clocks run at rates closer than Timing.Margin allows.
type Lease struct {
	c      *candidate
	epoch  uint64
	ctx    context.Context
	cancel context.CancelCauseFunc

	release sync.Once
	stop    chan struct{} // closed by Release
	ended   chan struct{} // closed when the lease renews no more

	mu   sync.Mutex
	sent time.Time // when the last acknowledged renewal was sent

	// revision is of the last write that was acknowledged. The renewing
	// goroutine owns it until ended is closed.
	revision uint64
}

// renewal is how one attempt to renew went.
type renewal struct {
	sent     time.Time
	revision uint64
	err      error
}

func (c *candidate) hold(ctx context.Context, epoch uint64, sent time.Time) *Lease {
	l := &Lease{c: c, epoch: epoch, revision: epoch, sent: sent, stop: make(chan struct{}), ended: make(chan struct{})}
	// The lease outlives the context of Acquire; its values do too.
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	go l.renew(sent)
	return l
}

// Epoch is the fencing token of this tenure: larger than that of every tenure
// before, the same until it ends. Whatever the holder changes remembers the
// largest epoch it saw and refuses a smaller one.
func (l *Lease) Epoch() uint64 { return l.epoch }

// Context ends when the lease is released, or with cause ErrLeaseLost no later
// than Timing.RenewDeadline after the last acknowledged renewal was sent. All
// work under the lease stops within Timing.StopTime then.
func (l *Lease) Context() context.Context { return l.ctx }

// Deadline is when Context ends unless the lease is renewed before. It moves with
// every renewal that is acknowledged, and carries a monotonic reading.
func (l *Lease) Deadline() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent.Add(l.c.o.Timing.RenewDeadline)
}

// Release stops renewing and lets others take the lease at once. Call it when
// the work under the lease has stopped. Releasing a lost lease does nothing.
func (l *Lease) Release(ctx context.Context) error {
	l.release.Do(func() { close(l.stop) })
	<-l.ended
	if errors.Is(context.Cause(l.ctx), ErrLeaseLost) {
		return nil
	}
	r := l.write(ctx, func(time.Time) messages.LeaseValue {
		return messages.LeaseValue{Epoch: l.epoch, Nonce: l.c.nonce}
	})
	if errors.Is(r.err, ErrConflict) {
		return nil // released already, or taken over
	}
	return r.err
}

// renew keeps the lease until it is released or lost.
func (l *Lease) renew(sent time.Time) {
	defer close(l.ended)
	t := l.c.o.Timing
	now := l.c.clock.Now()
	deadline := l.c.clock.NewTimer(sent.Add(t.RenewDeadline).Sub(now))
	next := l.c.clock.NewTimer(sent.Add(t.RenewEvery).Sub(now))
	defer deadline.Stop()
	defer next.Stop()

	asking, cancel := context.WithCancel(l.ctx)
	results := make(chan renewal, 1)
	underWay, still := false, false
	finish := func(cause error) {
		l.cancel(cause)
		cancel()
		if underWay {
			if r := <-results; r.err == nil {
				l.revision = r.revision
			}
		}
	}
	for {
		select {
		case <-l.stop:
			finish(context.Canceled)
			return
		case <-deadline.C():
			why := ""
			if still {
				why = ", because what holds it stands still"
			}
			finish(fmt.Errorf("%w: %s was not renewed for %v%s", ErrLeaseLost, l.c.o.Name, t.RenewDeadline, why))
			return
		case <-next.C():
			if l.c.o.Alive != nil && !l.c.o.Alive() {
				still = true
				next.Reset(t.RenewEvery)
				continue
			}
			still, underWay = false, true
			go func() {
				results <- l.write(asking, func(sent time.Time) messages.LeaseValue { return l.c.value(l.epoch, sent) })
			}()
		case r := <-results:
			underWay = false
			switch {
			case errors.Is(r.err, ErrConflict):
				finish(fmt.Errorf("%w: another node took %s", ErrLeaseLost, l.c.o.Name))
				return
			case r.err == nil:
				l.revision = r.revision
				l.mu.Lock()
				l.sent = r.sent
				l.mu.Unlock()
				// A renewal that took longer than the deadline is too late: the
				// timer, set to the past, ends the lease in the next turn.
				deadline.Reset(r.sent.Add(t.RenewDeadline).Sub(l.c.clock.Now()))
			}
			next.Reset(r.sent.Add(t.RenewEvery).Sub(l.c.clock.Now()))
		}
	}
}

// unsettledPause is how long a write that is on its way is waited for before it is looked again.
const unsettledPause = 10 * time.Millisecond

// write puts a value in place of the last one. A conflict with our own write,
// whose acknowledgement was lost or not waited for, is resolved by writing again on top
// of it: only an acknowledged write counts. The leader of the queue knows of a write before
// it can be read: while it refuses for one that it does not show yet, that one is waited for.
func (l *Lease) write(ctx context.Context, value func(sent time.Time) messages.LeaseValue) renewal {
	try, cancel := context.WithTimeout(ctx, l.c.o.Timing.RenewDeadline)
	defer cancel()
	revision := l.revision
	for overtaken := 0; overtaken < 2; {
		r := renewal{sent: l.c.clock.Now()}
		data, err := value(r.sent).Encode()
		if err != nil {
			return renewal{sent: r.sent, err: err}
		}
		r.revision, r.err = l.c.store.Update(try, l.c.o.Name, data, revision)
		if !errors.Is(r.err, ErrConflict) {
			return r
		}
		now, err := l.c.store.Get(try, l.c.o.Name)
		if err != nil {
			r.err = err
			if errors.Is(err, ErrNotFound) {
				r.err = ErrConflict
			}
			return r
		}
		held, err := messages.DecodeLease(now.Data)
		if err != nil || held.Nonce != l.c.nonce || held.Holder == "" {
			return r
		}
		if now.Revision > revision {
			revision, overtaken = now.Revision, overtaken+1
			continue
		}
		if err := l.c.clock.Sleep(try, unsettledPause); err != nil {
			return renewal{sent: r.sent, err: err}
		}
	}
	return renewal{sent: l.c.clock.Now(), err: errors.New("renewals overtook each other")}
}
