// Package clock is the only place that reads the system's time.
//
// Every other package takes a [Clock], or plain time values, so that tests
// decide what time it is. The linter refuses time.Now, time.Sleep and timers
// anywhere else outside tests.
package clock

import (
	"context"
	"time"
)

// Clock tells the time and waits. Implementations are safe for concurrent use.
type Clock interface {
	// Now returns the current time. On the system clock it carries a
	// monotonic reading, so Sub between two results is immune to clock steps.
	Now() time.Time
	// Sleep waits for d, or until ctx ends; then it returns the context's
	// cause. A d of zero or less returns at once.
	Sleep(ctx context.Context, d time.Duration) error
	// NewTimer returns a timer that fires once after d.
	NewTimer(d time.Duration) Timer
}

// Timer is a stoppable, resettable single-shot timer.
type Timer interface {
	// C receives the time when the timer fires.
	C() <-chan time.Time
	// Stop prevents the timer from firing; it reports whether it did.
	Stop() bool
	// Reset makes the timer fire after d from now.
	Reset(d time.Duration) bool
}

// System returns the machine's clock.
func System() Clock { return system{} }

// Or returns c, or the machine's clock when c is nil.
func Or(c Clock) Clock {
	if c == nil {
		return system{}
	}
	return c
}

type system struct{}

func (system) Now() time.Time { return time.Now() }

func (system) Sleep(ctx context.Context, d time.Duration) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (system) NewTimer(d time.Duration) Timer { return systemTimer{time.NewTimer(d)} }

type systemTimer struct{ *time.Timer }

func (t systemTimer) C() <-chan time.Time { return t.Timer.C }
