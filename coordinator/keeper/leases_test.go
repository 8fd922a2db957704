//go:build !windows

package keeper_test

import (
	"context"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// busLeases are the leases of a bus, each one watched only while it is wanted.
type busLeases struct{ l *bus.Leases }

func (b busLeases) Acquire(ctx context.Context, name, holder string, timing messages.LeaseTiming) (keeper.Tenure, error) {
	lease, err := b.l.Acquire(ctx, bus.LeaseOptions{Name: name, Holder: holder, Timing: timing})
	if err != nil {
		return nil, err // a nil lease must not become a Tenure that is none
	}
	return lease, nil
}
