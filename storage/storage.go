// Package storage is where bytes live: named objects in a place that may be
// slow, far away or broken.
//
// A [Backend] keeps objects; [OpenWith] finds the one a URL names. Each kind has its
// own package below this one (storage/local is a directory, storage/s3, azure
// and gcs are object stores), proves itself by the suite in storage/storagetest,
// and is wrapped: storage/limit holds it within rates, storage/retry repeats what
// failed for a passing reason, storage/metered tells an observer, storage/faults
// breaks things on purpose. The package knows nothing of encryption or of what
// the bytes mean.
//
// Rules every backend keeps: an object is visible whole or not at all; a
// conditional put has one winner; reads past the end fail instead of
// shortening; what [Backend.Sync] confirmed survives the loss of power. Sizes and
// offsets are bytes.
package storage

import (
	"context"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/remote"
)

// The contract, defined in package backend.
type (
	// Backend keeps objects.
	Backend = backend.Backend
	// PutOptions says how an object is stored.
	PutOptions = backend.PutOptions
	// Info describes an object.
	Info = backend.Info
	// Error is an operation that failed on an object.
	Error = backend.Error
	// TemporaryError is a failure that may be gone when tried again.
	TemporaryError = backend.TemporaryError
	// Retainer can keep objects from being deleted.
	Retainer = backend.Retainer
	// Thawer has objects in archive tiers.
	Thawer = backend.Thawer
	// ThawOptions says how objects are thawed.
	ThawOptions = backend.ThawOptions
	// ThawState is how far a thawing is.
	ThawState = backend.ThawState
	// UndeleteOptions say what is brought back of what others deleted.
	UndeleteOptions = backend.UndeleteOptions
	// Undeleted is an object that came back.
	Undeleted = backend.Undeleted
)

// Errors a caller may decide on, always wrapped in an [Error].
var (
	ErrNotFound    = backend.ErrNotFound
	ErrExists      = backend.ErrExists
	ErrShort       = backend.ErrShort
	ErrReadOnly    = backend.ErrReadOnly
	ErrFull        = backend.ErrFull
	ErrBadName     = backend.ErrBadName
	ErrDenied      = backend.ErrDenied
	ErrRetained    = backend.ErrRetained
	ErrArchived    = backend.ErrArchived
	ErrDamaged     = backend.ErrDamaged
	ErrUnsupported = backend.ErrUnsupported
)

// Unanswered tells whether an error means that a storage could not even be asked: an
// unknown host, a connection refused or cut, a time-out. Asking for something else of
// it would take as long and end the same.
func Unanswered(err error) bool { return remote.Unanswered(err) }

// Undelete brings back the wanted objects that somebody else deleted, where the
// storage or what it wraps is a backend.Undeleter. Where it is none, there is nothing
// to bring back. It is not tried again: it may be repeated.
func Undelete(ctx context.Context, be Backend, o UndeleteOptions) error {
	for {
		if u, ok := be.(backend.Undeleter); ok {
			return u.Undelete(ctx, o)
		}
		w, ok := be.(backend.Unwrapper)
		if !ok {
			return nil
		}
		be = w.Unwrap()
	}
}

// Commit tells a storage that wants to know, which wrappers may lie around, that what was
// stored until now counts. Conditional puts say so by themselves.
func Commit(be Backend) {
	for {
		if c, ok := be.(backend.Committer); ok {
			c.Commit()
			return
		}
		w, ok := be.(backend.Unwrapper)
		if !ok {
			return
		}
		be = w.Unwrap()
	}
}

// CheckName refuses a name that not every storage can hold as it is.
func CheckName(op, name string) error { return backend.CheckName(op, name) }
