// Package storage is where bytes live: named objects in a place that may be
// slow, far away or broken.
//
// A [Backend] keeps objects; [Open] finds the one a URL names. Each kind has its
// own package below this one (storage/local is a directory), proves itself by
// the suite in storage/storagetest, and may be wrapped (storage/faults breaks
// things on purpose). The package knows nothing of encryption or of what the
// bytes mean.
//
// Rules every backend keeps: an object is visible whole or not at all; a
// conditional put has one winner; reads past the end fail instead of
// shortening; what [Backend.Sync] confirmed survives the loss of power. Sizes and
// offsets are bytes.
package storage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/local"
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
)

// Errors a caller may decide on, always wrapped in an [Error].
var (
	ErrNotFound    = backend.ErrNotFound
	ErrExists      = backend.ErrExists
	ErrShort       = backend.ErrShort
	ErrReadOnly    = backend.ErrReadOnly
	ErrFull        = backend.ErrFull
	ErrBadName     = backend.ErrBadName
	ErrUnavailable = backend.ErrUnavailable
	ErrDenied      = backend.ErrDenied
	ErrRetained    = backend.ErrRetained
	ErrArchived    = backend.ErrArchived
	ErrDamaged     = backend.ErrDamaged
	ErrUnsupported = backend.ErrUnsupported
)

// CheckName refuses a name that not every storage can hold as it is.
func CheckName(op, name string) error { return backend.CheckName(op, name) }

// Open returns the storage that a URL names: file:///absolute/path. A plain
// path works too. It needs nothing to exist yet and writes nothing.
func Open(_ context.Context, location string) (Backend, error) {
	const op = "open storage"
	if !strings.Contains(location, "://") {
		if scheme, _, ok := strings.Cut(location, ":"); ok && scheme == "disperse" {
			return nil, unavailable(op, location, scheme)
		}
		return openDir(location)
	}
	u, err := url.Parse(location)
	if err != nil {
		return nil, &Error{
			Op: op, Object: "the configured URL", Err: errors.New("not a URL"),
			Hint: "write it as file:///absolute/path",
		}
	}
	switch u.Scheme {
	case "file":
		if u.RawQuery != "" || u.Fragment != "" {
			return nil, &Error{
				Op: op, Object: location, Err: errors.New("a file URL has no part after ? or #"),
				Hint: "write ? as %3F and # as %23 when they are part of the path, or give the plain path",
			}
		}
		if u.Host != "" && u.Host != "localhost" {
			return nil, &Error{
				Op: op, Object: u.Redacted(), Err: fmt.Errorf("a file URL has no host, found %q", u.Host),
				Hint: "write it with three slashes: file:///" + u.Host + u.Path,
			}
		}
		return openDir(filepath.FromSlash(u.Path))
	case "s3", "azblob", "gs":
		return nil, unavailable(op, u.Redacted(), u.Scheme)
	}
	return nil, &Error{
		Op: op, Object: u.Redacted(), Err: fmt.Errorf("unknown kind of storage %q", u.Scheme),
		Hint: "use file:///absolute/path",
	}
}

func openDir(path string) (Backend, error) {
	be, err := local.Open(path)
	if err != nil {
		return nil, err
	}
	return be, nil
}

func unavailable(op, location, scheme string) error {
	return &Error{
		Op: op, Object: location, Err: fmt.Errorf("storage of kind %q is %w", scheme, ErrUnavailable),
		Hint: "use file:///absolute/path for now",
	}
}
