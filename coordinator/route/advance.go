package route

import (
	"context"
	"errors"

	"mahavishnu/fault"
)

// attempts bounds how often a change that lost a race, or whose outcome is
// unknown, is tried again.
const attempts = 8

// ErrChanged is a Swap that found something else than what was read.
var ErrChanged = errors.New("it was changed by another coordinator meanwhile")

// Register is a place that keeps one state for all coordinators and changes it
// by compare-and-set. [Advance] makes Point of it.
type Register interface {
	// Read returns what the place holds now.
	Read(ctx context.Context) (Held, error)
	// Swap puts next in the place of what was read, at once and whole, or
	// returns ErrChanged and changes nothing. ErrUnknown says that it may have
	// done either. Any other error changed nothing.
	Swap(ctx context.Context, old Held, next State) error
}

// Held is what a register holds.
type Held struct {
	State
	// Exact is the register's own: what Swap needs to recognise what was read.
	Exact any
}

// Advance points a register at a target unless a newer epoch is there. Whoever
// loses a race reads again, and finds either that its epoch is the higher one
// and may still be written, or that it is stale. A swap of unknown outcome is
// settled the same way: reading back finds it done, or it is tried again on the
// condition of what is there, so that it can never be done twice.
func Advance(ctx context.Context, r Register, t Target, epoch uint64) error {
	if err := checkPoint(t, epoch); err != nil {
		return err
	}
	var last error
	for range attempts {
		if ctx.Err() != nil {
			return errors.Join(last, context.Cause(ctx))
		}
		held, err := r.Read(ctx)
		if err != nil {
			return errors.Join(last, err) // an unknown outcome stays unknown
		}
		done, err := held.Admit(t, epoch)
		if done || err != nil {
			return err
		}
		last = r.Swap(ctx, held, State{Epoch: epoch, Target: t})
		if !errors.Is(last, ErrChanged) && !errors.Is(last, ErrUnknown) {
			return last
		}
	}
	return fault.New("point clients at", t.Member, last, "several coordinators change it at once, or the answers get lost: see `mahavishnu failover status`")
}
