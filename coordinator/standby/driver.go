// Package standby knows how members of a service are looked at, fenced, promoted,
// demoted and made to follow again: one small interface, and three drivers.
//
//   - PostgreSQL, through package postgres, on the machine where the server runs.
//   - HTTP, for any service that has the endpoints below.
//   - Commands, for everything else.
//
// A driver does as it is told; when, the keeper decides. Package standbytest has the
// suite that every driver must pass.
//
// # Epochs
//
// Each call that changes something carries the epoch of the tenure it belongs to. A member
// remembers the highest it has seen and refuses a lower one with [ErrStale]: whoever
// comes late with an order of a tenure that is over changes nothing. A fence is final for its
// epoch: a promotion of the same epoch that is still under way fails. The PostgreSQL driver
// keeps the epoch in a file beside the data directory; the other two hand it to the service,
// which has to do the same.
//
// # HTTP
//
// Below the endpoint, all bodies JSON:
//
//	GET  /health   200 with {"role": "primary|standby|unknown", "writable": bool, "timeline": n,
//	               "position": "...", "lag_bytes": n, "lag_seconds": x, "detail": "..."}
//	POST /fence    {"service": "...", "epoch": n}: take no more writes, now and after a restart
//	POST /promote  the same: take writes
//	POST /demote   the same: stop taking writes in an orderly way
//	POST /rejoin   and "primary": {"name": "...", "address": "host:port"}: follow it
//
// An answer of 200 or 204 says that it is done, not that it is begun. 409 means that the epoch is lower
// than one seen before. Every call may come twice. A health that is answered with 503 is one of
// a service that is up and not usable. An answer to GET without a body, or one that is no JSON, tells
// only that the service answers.
//
// # Commands
//
// Programs with their arguments, without a shell. They find MAHAVISHNU_SERVICE, MAHAVISHNU_MEMBER,
// MAHAVISHNU_EPOCH, and for rejoin MAHAVISHNU_PRIMARY_NAME and MAHAVISHNU_PRIMARY_ADDRESS in their environment. Exit code 0 means
// done, 5 that the epoch is lower than one seen before. The health command prints
// what the HTTP endpoint answers; it has no epoch, and its exit code 5 is like any other.
//
// # Members that cannot be told to stop
//
// A fence that succeeds without the member's having heard of it ends with [ErrUndelivered]: the
// process is gone (HTTP, on this machine, where a refused connection proves it), or a program
// has ended it ([Stop]). Whoever ordered it sees to it that the member is told when it is back. Over HTTP, what
// another machine refuses proves nothing: a firewall may have.
package standby

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"
)

// ErrStale says that the member has seen a higher epoch.
var ErrStale = errors.New("the epoch is lower than one seen before")

// Role is what a member of a service does.
type Role string

// Roles.
const (
	Primary Role = "primary"
	Standby Role = "standby"
	Unknown Role = "unknown"
)

// Health is how a member is.
type Health struct {
	// Running says that it is there; a member that is down may still know its role.
	Running bool
	Role    Role
	// Writable says that it takes writes now.
	Writable bool
	// Timeline is the history it is on, where the service has such a thing.
	Timeline uint64
	// Position is how far it has what the service stores, in the service's own words.
	Position string
	// Streaming says that a standby is connected to its primary.
	Streaming bool
	// LagBytes and LagTime are how far a standby is behind what it knows of.
	LagBytes int64
	LagTime  time.Duration
	// Detail is a sentence for people.
	Detail string
	// Wrong says what is wrong with what the member says of itself.
	Wrong string
}

// Peer is another member of the service, as this one reaches it.
type Peer struct {
	Name string `json:"name"`
	Host string `json:"host"`
	Port int    `json:"port"`
}

// Address is host and port.
func (p Peer) Address() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// Driver controls one member of a service.
//
// All calls may be repeated, and end when their context does; what was asked for may still
// happen then. Fence may be called while another call is under way, and must not wait for it.
type Driver interface {
	// Health looks at the member. An error means that it is there and does not answer, or that
	// nobody can tell.
	Health(ctx context.Context) (Health, error)
	// Fence returns when the member takes no writes, acknowledges none, and will not take any by
	// itself, not after a restart either. It works on members that hang or are down. One that is stopped, and
	// could not be told that it has to stay so, is told by ErrUndelivered.
	Fence(ctx context.Context, epoch uint64) error
	// Promote returns when the member takes writes.
	Promote(ctx context.Context, epoch uint64) error
	// Demote makes a primary stop in an orderly way: its standbys receive everything. It takes
	// no writes afterwards, as if fenced. Health's position tells then how far it got.
	Demote(ctx context.Context, epoch uint64) error
	// Rejoin makes the member a standby of a primary and returns when it follows.
	Rejoin(ctx context.Context, primary Peer, epoch uint64) error
}

// Starter is a driver whose member can be started as a standby, without taking writes.
type Starter interface {
	// Start returns when it serves.
	Start(ctx context.Context) error
}

// Rememberer is a driver that knows the highest epoch that its member has seen.
type Rememberer interface {
	Epoch() uint64
}

// Checker is a driver that needs programs and files of this machine.
type Checker interface {
	// Check tells what is missing: without which the member could not be stopped, and without
	// which something else could not be done to it.
	Check() (unstoppable, lacking error)
}

// Comparer is a driver that can compare positions.
type Comparer interface {
	// Reached tells whether the first position is at or beyond the second.
	Reached(position, floor string) (bool, error)
}

// Replica is a standby as its primary sees it.
type Replica struct {
	Name string
	// Streaming: it receives what is written.
	Streaming bool
	// Secured: commits wait for it, and it has all that was acknowledged so far.
	Secured bool
}

// Synchronizer is a driver whose primary can let commits wait for standbys.
type Synchronizer interface {
	// SetSynchronous names the members that must have a write before it is acknowledged: all of
	// them, nobody when there is none, and whoever comes when it is Everyone. It
	// works on members that are down, too.
	SetSynchronous(ctx context.Context, members []string) error
	// Replicas tells who is connected to this primary.
	Replicas(ctx context.Context) ([]Replica, error)
}

// Everyone in place of names: a write waits for any one standby.
const Everyone = "*"
