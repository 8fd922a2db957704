package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrMinority is the cause of a leadership that ended because a majority of regions
// can no longer be reached.
var ErrMinority = errors.New("a majority of regions cannot be reached")

const (
	// reactEvery is how often a reactor is called though nothing changed, for what
	// depends on time.
	reactEvery = 30 * time.Second
	// reactAgain is the pause after a reaction that failed.
	reactAgain  = time.Second
	releaseTime = 2 * time.Second
)

// gate is open while this coordinator has a majority.
type gate struct {
	mu     sync.Mutex
	open   bool
	opened chan struct{} // closed while open
	shut   chan struct{} // closed while shut
}

func newGate() *gate {
	g := &gate{opened: make(chan struct{}), shut: make(chan struct{})}
	close(g.shut)
	return g
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == open {
		return
	}
	g.open = open
	if open {
		close(g.opened)
		g.shut = make(chan struct{})
	} else {
		close(g.shut)
		g.opened = make(chan struct{})
	}
}

// states are the channels that tell of the next opening and of the next shutting.
func (g *gate) states() (opened, shut <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened, g.shut
}

// pass waits until the gate is open, and returns a context that ends when it shuts.
func (g *gate) pass(ctx context.Context) (context.Context, context.CancelCauseFunc, error) {
	for {
		opened, _ := g.states()
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-opened:
		}
		g.mu.Lock()
		open, shut := g.open, g.shut
		g.mu.Unlock()
		if !open {
			continue // it shut again in between
		}
		inside, cancel := context.WithCancelCause(ctx)
		go func() {
			select {
			case <-shut:
				cancel(ErrMinority)
			case <-inside.Done():
			}
		}()
		return inside, cancel, nil
	}
}

// lead stands for election while it has a majority, and leads when it is elected.
func (c *Coordinator) lead(ctx context.Context) {
	for ctx.Err() == nil {
		inside, leave, err := c.gate.pass(ctx)
		if err != nil {
			return
		}
		lease, err := c.o.Elector.Acquire(inside)
		if err == nil {
			err = c.reign(inside, lease)
		}
		leave(nil)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, ErrMinority) {
			c.o.Log.Warn().Err(err).Msg("this coordinator does not lead; standing for election again")
		}
		if c.o.Clock.Sleep(ctx, c.o.Heartbeat) != nil {
			return
		}
	}
}

// reign leads until the lease or the majority is lost.
func (c *Coordinator) reign(ctx context.Context, lease Lease) error {
	held, end := context.WithCancelCause(ctx)
	defer end(nil)
	c.begin(lease.Epoch())
	var once sync.Once
	finish := func(why error) { once.Do(func() { c.finish(lease.Epoch(), why) }) }
	// It leads no more from that moment, though what it was at may hang.
	defer context.AfterFunc(lease.Context(), func() {
		why := context.Cause(lease.Context())
		end(why)
		finish(why)
	})()
	var beside sync.WaitGroup
	if l, ok := c.o.Reactor.(Leader); ok {
		beside.Go(func() {
			err := l.Lead(held, lease.Epoch())
			end(errors.Join(errors.New("what the leader does ended by itself"), err)) // no-op when it was told to
		})
	}
	err := c.react(held, lease.Epoch())
	beside.Wait()
	finish(err)
	if lease.Context().Err() != nil {
		return err
	}
	free, done := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer done()
	if released := lease.Release(free); released != nil && !errors.Is(err, ErrMinority) {
		err = errors.Join(err, fmt.Errorf("release the lease: %w", released)) // it lapses by itself
	}
	return err
}

func (c *Coordinator) begin(epoch uint64) {
	c.mu.Lock()
	c.view.epoch, c.led = epoch, c.o.Clock.Now()
	c.mu.Unlock()
	c.o.Log.Info().Uint64("epoch", epoch).Msg("this coordinator leads")
	if c.o.Metrics != nil {
		c.o.Metrics.LeaseWon(leaseName, epoch)
	}
}

func (c *Coordinator) finish(epoch uint64, why error) {
	c.mu.Lock()
	c.view.epoch, c.reacting = 0, ""
	c.mu.Unlock()
	c.o.Log.Warn().Uint64("epoch", epoch).AnErr("why", why).Msg("this coordinator leads no more")
	if c.o.Metrics != nil {
		c.o.Metrics.LeaseEnded(leaseName)
	}
}

// react calls the reactor at the beginning, after every change, and now and then.
// It returns why the leadership ended.
func (c *Coordinator) react(ctx context.Context, epoch uint64) error {
	for ctx.Err() == nil {
		pause := reactEvery
		if c.o.Reactor != nil {
			if err := c.o.Reactor.React(ctx, Situation{Epoch: epoch, Status: c.Status()}); err != nil && ctx.Err() == nil {
				c.o.Log.Error().Err(err).Msg("reacting to verdicts failed; trying again")
				pause = reactAgain
			}
		}
		timer := c.o.Clock.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-c.turned:
		case <-timer.C():
		}
		timer.Stop()
	}
	return context.Cause(ctx)
}

// Reacting says, for the status, what the reactor is doing; "" is nothing.
func (c *Coordinator) Reacting(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reacting = what
}
