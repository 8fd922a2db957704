// Package hook leads clients by a command of the operator's: a load balancer's
// API, a virtual address, a configuration file and a reload.
//
// # The command
//
// It is run with these variables besides the environment of this process, from
// which everything named MAHAVISHNU_ is taken out:
//
//	MAHAVISHNU_ROUTE_SERVICE    the service's name
//	MAHAVISHNU_ROUTE_MEMBER     the member that clients are to reach
//	MAHAVISHNU_ROUTE_EPOCH      the tenure's epoch, a decimal number
//	MAHAVISHNU_ROUTE_ADDRESSES  the member's addresses, separated by commas
//	MAHAVISHNU_ROUTE_HOST       its name in DNS
//	MAHAVISHNU_ROUTE_PORT       its port
//
// Exit code 0 is done; the command is run again with the same epoch when in doubt,
// so it must be safe to repeat. Exit code 5 says that it found a higher epoch than
// its own where it was to change something: that is route.ErrStale. Every other
// code is a failure. It is killed, with what it started, after Options.Timeout.
// The last lines of what it wrote are in the error.
//
// # Fencing
//
// A command that can compare epochs where it changes something (a tag at the load
// balancer, a line in the file) must do so and exit with 5: only then is a stale
// coordinator on another machine refused. What this package adds is for this
// machine alone: a file remembers the highest epoch the command was begun with, and
// a lower one is refused without running it.
//
// Options.Current, when set, is a command that prints what is there now as
// "epoch=42 member=pg2" or nothing at all, and is believed before the file is. Without
// it, Current tells what this machine last did, and nothing of what others did.
package hook
