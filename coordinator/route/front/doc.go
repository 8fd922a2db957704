// Package front is a small TCP proxy that leads every client to the member of a
// service that is primary now.
//
// Clients that connect to a front need neither DNS nor a driver that knows several
// hosts: a failover is one broken connection and one that takes a little longer.
// Run one front beside each application, or a few behind a load balancer; they
// keep no state that another needs.
//
// # Following the tenure
//
// A front is led by tenures: which member holds the service's lease, by which
// epoch. They come from three sides, and the highest epoch wins whoever says it:
// Point (the route step of a plan), Observe (each change of the lease's key), and
// Fence (the announcement that a member's tenure is over). What carries a lower
// epoch is refused or ignored, so a front never goes back.
//
// When a tenure ends, each connection of it is broken at once with a reset, so
// that a client notices a primary that is frozen or cut off without waiting for a
// time-out, and no late write goes to a fenced one. With Options.Lapse a tenure
// ends by itself, too, when nobody has renewed the lease for so long: the holder
// has stopped by then. A front that sees nothing of the control plane cannot tell
// that from a holder that went on; it stops leading clients, which is the safe
// side.
//
// # Holding
//
// Between two tenures, and while the new member does not accept connections yet,
// new ones are held instead of refused, for Options.Hold at most and not more than
// Options.MaxHeld of them. Nothing was sent yet, so trying again is safe.
//
// # Use
//
//	f, err := front.New(front.Options{
//		Service: "orders", Listen: "127.0.0.1:5432",
//		Members: map[string]route.Target{"pg1": {...}, "pg2": {...}},
//		State:   route.NewFile(filepath.Join(dataDir, "front-orders.json")),
//	})
//	go f.Run(ctx)
//	go leases.Watch(ctx, "service-orders", func(v bus.Value) error {   // dr_leases
//		lease, err := messages.DecodeLease(v.Data)
//		if err == nil {
//			f.Observe(lease.Holder, max(lease.Epoch, v.Revision when lease.Epoch is 0))
//		}
//		return nil
//	})
//
// The holder of a lease is a member's name here. Who keeps leases under the names
// of nodes translates them before Observe.
package front
