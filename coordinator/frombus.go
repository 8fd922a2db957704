package coordinator

import (
	"context"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// leaseName is the lease of the coordinator that leads.
const leaseName = messages.LeaseCoordinator

// Connect fills in what a coordinator needs of the bus: Lines, Elector and Events.
// Node, Timing and the Reactor must be set.
func (o *Options) Connect(b *bus.Bus) {
	o.Lines = b
	reactor := o.Reactor
	o.Elector = busElector{b, bus.LeaseOptions{Name: leaseName, Holder: o.Node, Timing: o.Timing, Alive: func() bool {
		vital, ok := reactor.(Vital)
		return !ok || vital.Alive()
	}}}
	o.Events = busEvents{b}
}

type busElector struct {
	bus     *bus.Bus
	options bus.LeaseOptions
}

func (e busElector) Acquire(ctx context.Context) (Lease, error) {
	lease, err := e.bus.Leases().Acquire(ctx, e.options)
	if err != nil {
		return nil, err
	}
	return lease, nil
}

type busEvents struct{ bus *bus.Bus }

func (e busEvents) Publish(ctx context.Context, event messages.Event) error {
	return e.bus.PublishEvent(ctx, event)
}
