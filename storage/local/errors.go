package local

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"mahavishnu/storage/backend"
)

// failed wraps an error of the operating system so that callers can decide on
// it and people know what to do.
func failed(op, object string, err error) error {
	e := &backend.Error{Op: op, Object: object, Err: err}
	switch {
	case missing(err):
		e.Err = backend.ErrNotFound
	case isFull(err):
		e.Err = fmt.Errorf("%w: %w", backend.ErrFull, err)
		e.Hint = "free space on the file system that holds the storage, or raise the quota"
	case isReadOnly(err):
		e.Err = fmt.Errorf("%w: %w", backend.ErrReadOnly, err)
		e.Hint = "remount the file system for writing; a disk that turned read-only may be failing"
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "run as the owner of the storage directory, or give this user access to it"
	}
	return e
}

// missing is true when there is no file, also when a part of the path is a
// file where a directory would have to be.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
