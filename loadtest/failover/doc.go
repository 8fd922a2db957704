// Package failover measures how long a service is away when its primary is lost: a whole
// system of real processes on this machine, hurt again and again.
//
// # What is there
//
// Three machines in three regions. Each runs `mahavishnu coordinator` and a server of a
// NATS cluster of three; two of them a member of a PostgreSQL pair with synchronous
// replication; the third, which is never hurt, BIND and the clients. Where the system
// allows it, each machine is a network namespace of its own (package lab/netlab), so that one
// can be cut off; otherwise machines are addresses of the loopback interface.
//
// Two clients write numbered rows, one connection each: one through the TCP front of its
// own machine, one to whatever address a name has that it looks up anew for every
// connection. A third looks at the standby, whether it takes writes.
//
// # What is measured
//
// A fault happens to the machine of the primary, and the moments that follow are noted
// (see [Run]): from the coordinators' opinions and their status, from the plan's journal,
// and from the clients' own acknowledgements. All clocks are this machine's. Then the
// machine is healed, the old primary made a standby again, and every row that was
// acknowledged looked for in the new one. The next fault comes from the other side.
//
// What was measured is handed out after every run, so that a measurement that is cut off
// loses one run.
package failover
