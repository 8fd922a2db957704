package retry

import (
	"context"
	"sync"
	"time"

	"mahavishnu/clock"
)

// shutAfter is how many failures in a row, of all operations together, make one
// try for all.
const shutAfter = 3

// gate is what operations on one backend know of each other's failures.
type gate struct {
	clock    clock.Clock
	patience time.Duration
	wait     func(n int) time.Duration

	mu      sync.Mutex
	since   time.Time     // of the first failure after the last answer
	row     int           // failures since then
	step    int           // how often the wait has grown since then
	until   time.Time     // nobody tries before, unless an answer came
	asked   time.Time     // nobody tries before, since the server asked for it
	probing bool          // one is trying for all
	failed  int           // of those that did
	last    error         // what failed last
	changed chan struct{} // closed at the next change; nil when nobody waits
}

// turn is the right to try.
type turn struct {
	probe bool
	step  int
}

// outcome is what a try says of the server.
type outcome int

const (
	alive   outcome = iota // it answered, whatever it was
	failing                // it did not, or is too busy
	unknown                // the caller gave up first
)

func newGate(c clock.Clock, patience time.Duration, wait func(int) time.Duration) *gate {
	return &gate{clock: c, patience: patience, wait: wait}
}

// enter waits until one may try. It fails when ctx ends; with what failed last when
// waiting would go beyond the deadline, or when the server is dead and another has just
// found it so.
func (g *gate) enter(ctx context.Context, deadline time.Time) (turn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.failed
	for {
		now := g.clock.Now()
		shut, dead := g.row >= shutAfter, g.isDead(now)
		free := g.asked
		if shut && !dead && g.until.After(free) {
			free = g.until
		}
		switch {
		case dead && g.failed > seen, free.After(deadline), shut && g.probing && !now.Before(deadline):
			return turn{}, g.last
		case free.After(now):
			if err := g.sleep(ctx, free.Sub(now)); err != nil {
				return turn{}, err
			}
		case !shut:
			return turn{step: g.step}, nil
		case !g.probing:
			g.probing = true
			return turn{probe: true, step: g.step}, nil
		default:
			if err := g.sleep(ctx, deadline.Sub(now)); err != nil {
				return turn{}, err
			}
		}
	}
}

// sleep waits for a time or the next change. The caller holds mu, and does again
// afterwards.
func (g *gate) sleep(ctx context.Context, d time.Duration) error {
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	changed := g.changed
	g.mu.Unlock()
	defer g.mu.Lock()
	t := g.clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// leave says how a try fared.
func (g *gate) leave(t turn, o outcome, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.probe {
		g.probing = false
	}
	switch o {
	case alive:
		g.row, g.step, g.since, g.until = 0, 0, time.Time{}, time.Time{}
	case failing:
		now := g.clock.Now()
		if g.row == 0 {
			g.since = now
		}
		g.row++
		g.last = err
		if t.probe {
			g.failed++
		}
		if asks := now.Add(after(err)); asks.After(now) && asks.After(g.asked) {
			g.asked = asks
		}
		// Those that were under way when the wait grew say nothing new.
		if g.row >= shutAfter && t.step == g.step {
			g.step++
			g.until = now.Add(g.wait(g.step))
		}
	}
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// dead tells whether the server has failed for longer than anybody waits.
func (g *gate) dead(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isDead(now)
}

func (g *gate) isDead(now time.Time) bool {
	return g.row >= shutAfter && now.Sub(g.since) > g.patience
}
