package scheduler

import (
	"context"
	"sync"
	"time"

	"mahavishnu/clock"
)

// handClock is a clock that tests move. Like a machine's, it has a wall clock
// that can be set (Step) and timers that run on elapsed time (Advance).
type handClock struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
	timers  map[*handTimer]bool
}

func newHandClock(start time.Time) *handClock {
	return &handClock{wall: start, timers: map[*handTimer]bool{}}
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

// Advance lets time pass.
func (c *handClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
	c.elapsed += d
	for t := range c.timers {
		c.fire(t)
	}
}

// Step sets the wall clock forwards or back.
func (c *handClock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

func (c *handClock) fire(t *handTimer) {
	if t.at <= c.elapsed {
		delete(c.timers, t)
		select {
		case t.c <- c.wall:
		default:
		}
	}
}

func (c *handClock) NewTimer(d time.Duration) clock.Timer {
	t := &handTimer{clock: c, c: make(chan time.Time, 1)}
	t.Reset(d)
	return t
}

func (c *handClock) Sleep(ctx context.Context, d time.Duration) error {
	if err := context.Cause(ctx); err != nil || d <= 0 {
		return err
	}
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type handTimer struct {
	clock *handClock
	at    time.Duration
	c     chan time.Time
}

func (t *handTimer) C() <-chan time.Time { return t.c }

func (t *handTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	running := t.clock.timers[t]
	delete(t.clock.timers, t)
	return running
}

func (t *handTimer) Reset(d time.Duration) bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	running := t.clock.timers[t]
	select { // as since Go 1.23: no stale value after Reset
	case <-t.c:
	default:
	}
	t.at = t.clock.elapsed + d
	t.clock.timers[t] = true
	t.clock.fire(t)
	return running
}
