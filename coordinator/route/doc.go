// Package route tells clients where a service is now.
//
// After a failover somebody has to lead clients from the member that was primary
// to the one that is. A [Router] does that in one way: a record in a name server
// (packages rfc2136 and route53), a TCP front that every client connects to
// (package front), or a command of the operator's (package hook). [Group] makes
// one router of several.
//
// # Fencing
//
// Every change carries the epoch of the tenure it belongs to: the fencing token
// of the lease that the new primary's keeper has won. A router remembers the
// highest epoch it was pointed at, in the very place it changes and not in the
// memory of whoever changes it, and refuses a lower one with [ErrStale]. So a
// coordinator that was frozen for a minute and wakes up believing that it leads
// moves no client, whatever it believes.
//
// The same epoch with the same member is a repetition and does nothing; it may
// carry other addresses, when the member's were corrected meanwhile. The same
// epoch with another member is refused like a lower one: a tenure has one member.
//
// # Use
//
// Point is safe to repeat and to race. When it returns nil, clients that ask from
// then on are led to the target; those that asked before know the old one for as
// long as the way allows (a record's TTL). An error that is not [ErrStale] leaves
// open whether something was changed: repeat it, with the same epoch or a higher
// one. [ErrUnknown] says so where it is known to be unknown.
//
//	router, err := rfc2136.New(rfc2136.Options{
//		Servers: []string{"ns1.example.com:53", "ns2.example.com:53", "ns3.example.com:53"},
//		Zone:    "example.com", Name: route.Name{Name: "db.example.com", Kind: route.KindAddress},
//		Key:     key,
//	})
//	...
//	err = router.Point(ctx, route.Target{Member: "pg2", Addresses: addresses, Port: 5432}, lease.Epoch())
//
// Name servers come back from backups, and a primary that was cut off comes back
// with what it knew: [Keep] looks at a router now and then and points again.
//
// What implements Router proves itself with package routetest.
package route
