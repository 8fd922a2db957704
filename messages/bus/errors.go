package bus

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/nats-io/nats.go"
)

// Errors callers decide on.
var (
	// ErrNotFound: there is no such record, key, message or letter.
	ErrNotFound = errors.New("not found")
	// ErrExists: a record or key of that name is there already.
	ErrExists = errors.New("exists already")
	// ErrConflict: somebody else changed it since it was read.
	ErrConflict = errors.New("changed by somebody else")
	// ErrNotProvisioned: a stream, consumer or bucket is missing.
	ErrNotProvisioned = errors.New("the streams are not provisioned")
	// ErrNobody: no process listens for that control request.
	ErrNobody = errors.New("nobody listens")
	// ErrClosed: the puller was closed.
	ErrClosed = errors.New("closed")
	// ErrLeaseLost is the cause with which a lost lease ends its context.
	ErrLeaseLost = errors.New("lease lost")
	// ErrDifferentJob: the id belongs to a job that asks for something else.
	ErrDifferentJob = errors.New("a different job has this id")
)

// Unanswered reports whether a call failed because the queue did not answer, or could
// not: no connection, no leader, no majority. The same call may succeed later.
func Unanswered(err error) bool {
	return temporary(err) || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrConnectionClosed)
}

// TimedOut reports whether a server could not be asked because nothing came back from where
// it is, as when the line is cut; a machine that is there and runs no server refuses.
func TimedOut(err error) bool {
	for _, t := range []error{os.ErrDeadlineExceeded, context.DeadlineExceeded, nats.ErrTimeout, syscall.EHOSTUNREACH, syscall.ENETUNREACH} {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// Undecided reports whether a call failed because the server that answered is not with the
// majority of its cluster, or there is none.
func Undecided(err error) bool { return noMajority(err) }
