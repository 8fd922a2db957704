package route

import (
	"context"
	"errors"
	"time"

	"mahavishnu/clock"
)

// KeepOptions say what Keep keeps. Router, Want and Every are required.
type KeepOptions struct {
	Router Router
	// Want is where clients should be led in which epoch; false while this
	// process has no say in it.
	Want func() (Target, uint64, bool)
	// Every is how often the router is looked at.
	Every time.Duration
	// Ask is how often Want is asked: the router is looked at as soon as the answer has
	// changed; 0 is Every.
	Ask time.Duration
	// Timeout bounds one look and what follows from it; 0 is Every.
	Timeout time.Duration
	// OnMended hears that a router showed something else and was pointed again,
	// OnError what hindered it. Neither may block; both may be nil.
	OnMended func(was State)
	OnError  func(error)
	// Clock is nil outside tests.
	Clock clock.Clock
}

// Keep looks at a router now and then until ctx ends, and points it again when
// it leads clients elsewhere than it should: a name server came back from its
// backup, a place that could not be reached is back, somebody edited a record.
// What a newer epoch wrote is left alone.
func Keep(ctx context.Context, o KeepOptions) error {
	system := clock.Or(o.Clock)
	if o.Timeout == 0 {
		o.Timeout = o.Every
	}
	if o.Ask == 0 {
		o.Ask = o.Every
	}
	var last State
	var looked time.Time
	for {
		if err := system.Sleep(ctx, o.Ask); err != nil {
			return err
		}
		want, epoch, ok := o.Want()
		if !ok {
			last = State{}
			continue
		}
		now := system.Now()
		if last.Epoch == epoch && last.Target.Equal(want) && now.Sub(looked) < o.Every {
			continue
		}
		last, looked = State{Epoch: epoch, Target: want}, now
		look, cancel := context.WithTimeout(ctx, o.Timeout)
		was, err := mend(look, o.Router, want, epoch)
		cancel()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && o.OnError != nil:
			o.OnError(err)
		case err == nil && was != nil && o.OnMended != nil:
			o.OnMended(*was)
		}
	}
}

// mend points again, which does nothing when all is well, and returns what was
// shown before when that was something else.
func mend(ctx context.Context, r Router, want Target, epoch uint64) (*State, error) {
	before, beforeEpoch, _ := r.Current(ctx) // what cannot be read is pointed all the same
	if err := r.Point(ctx, want, epoch); err != nil {
		if errors.Is(err, ErrStale) {
			return nil, nil
		}
		return nil, err
	}
	after, afterEpoch, err := r.Current(ctx)
	if err != nil || beforeEpoch == afterEpoch && before.Equal(after) {
		return nil, err
	}
	return &State{Epoch: beforeEpoch, Target: before}, nil
}
