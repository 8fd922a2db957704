package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
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
		e.Hint = access(err)
	}
	return e
}

// access says who lacks access to what.
func access(err error) string {
	who := "this user"
	if u, err := user.Current(); err == nil {
		who = fmt.Sprintf("the user %s (%s)", u.Username, u.Uid)
	}
	path := "the storage directory"
	if at := (*fs.PathError)(nil); errors.As(err, &at) && filepath.IsAbs(at.Path) {
		path = obstacle(at.Path)
	}
	return fmt.Sprintf("give %s access to %s, or run as its owner", who, path)
}

// obstacle returns what stands in the way to a path: the deepest part of it that
// can be looked at, so that everything below one closed directory has one hint.
func obstacle(path string) string {
	for at := path; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); err == nil || filepath.Dir(at) == at {
			return at
		}
	}
}

// missing is true when there is no file, also when a part of the path is a
// file where a directory would have to be.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
