package main

import (
	"context"
	"errors"
	"fmt"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot"
)

// Exit codes are API: scripts decide on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreadable  = 3
	exitIntegrity   = 4
	exitFenced      = 5
	exitMissed      = 6
	exitCutOff      = 7
	exitInterrupted = 130
)

// exitMeaning says what a code means, for help and manual pages.
func exitMeaning(code int) string {
	switch code {
	case exitDone:
		return "done"
	case exitFailed:
		return "failed"
	case exitUsage:
		return "wrong usage or configuration"
	case exitUnreadable:
		return "done, but some files could not be read or restored; each is named"
	case exitIntegrity:
		return "stored data is damaged or missing; each object is named"
	case exitFenced:
		return "taken for dead, or the lease was lost: nothing was published; run it again"
	case exitMissed:
		return "a target was missed: recovery time or recovery point"
	case exitCutOff:
		return "this region is cut off from the queue: what was shown is what it knows by itself"
	case exitInterrupted:
		return "interrupted; what was stored is kept and reused"
	default:
		return ""
	}
}

// Errors that decide an exit code. They come wrapped in a sentence.
var (
	errUnreadable = errors.New("some files could not be read")
	errIntegrity  = errors.New("stored data is damaged or missing")
	errMissed     = errors.New("a target was missed")
	errCutOff     = errors.New("this region is cut off from the queue")
)

// usageError is a command line that cannot be understood.
type usageError struct {
	command string // "mahavishnu backup"
	err     error
}

func (e *usageError) Error() string     { return e.err.Error() }
func (e *usageError) Unwrap() error     { return e.err }
func (e *usageError) FaultHint() string { return e.command + " --help" }

// usagef returns a usageError of a command.
func usagef(command, format string, args ...any) error {
	return &usageError{command, fmt.Errorf(format, args...)}
}

// reported marks an error whose whole story has been printed already: only its
// exit code is left to tell.
type reported struct{ error }

func (e reported) Unwrap() error { return e.error }

// exitCode is the one place that decides what an error means to a script.
func exitCode(err error) int {
	var (
		usage       *usageError
		bad         config.Errors
		interrupted *interruptedError
		refused     *messages.RefusedError
		place       *app.PlaceError
		plans       *badPlans
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &interrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &bad), errors.As(err, &refused), errors.As(err, &place), errors.As(err, &plans), errors.Is(err, config.ErrUnreadable),
		errors.Is(err, keyring.ErrNoRing), errors.Is(err, keyring.ErrMode), errors.Is(err, repository.ErrWrongKey):
		return exitUsage
	case isIntegrity(err):
		return exitIntegrity
	case errors.Is(err, keyring.ErrNoVersion):
		return exitUsage
	case errors.Is(err, messages.ErrFenced), errors.Is(err, bus.ErrLeaseLost), errors.Is(err, repository.ErrFenced):
		return exitFenced
	case errors.Is(err, errUnreadable), errors.Is(err, snapshot.ErrIncomplete):
		return exitUnreadable
	case errors.Is(err, errMissed):
		return exitMissed
	case errors.Is(err, errCutOff):
		return exitCutOff
	default:
		return exitFailed
	}
}

// isIntegrity reports whether stored data is at fault.
func isIntegrity(err error) bool {
	return errors.Is(err, errIntegrity) || errors.Is(err, repository.ErrDamaged) || errors.Is(err, repository.ErrBlobMissing) ||
		errors.Is(err, repository.ErrUnreadable) || errors.Is(err, replication.ErrDamaged)
}
