package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mahavishnu/clock"
	"mahavishnu/storage/backend"
)

var _ backend.Retainer = (*Backend)(nil)

// retainAttribute is the extended attribute that says until when a file is kept, as
// RFC 3339.
const retainAttribute = "user.mahavishnu.retain-until"

// errNoAttribute means that a file has no retention.
var errNoAttribute = errors.New("no such attribute")

// WithClock returns the backend asking c when a retention has ended.
func (b *Backend) WithClock(c clock.Clock) *Backend {
	return &Backend{root: b.root, clock: c}
}

// Retain keeps an object from being deleted or replaced through this program. Whoever
// can reach the directory in other ways is not kept from anything.
func (b *Backend) Retain(ctx context.Context, name string, until time.Time) error {
	const op = "retain"
	has, err := b.Retained(ctx, name)
	if err != nil || !until.After(has) {
		return err
	}
	f, err := openObject(b.path(name))
	if err != nil {
		return failed(op, name, err)
	}
	err = retainFile(f, until)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return failed(op, name, err)
	}
	return nil
}

// Retained returns until when an object is kept.
func (b *Backend) Retained(ctx context.Context, name string) (time.Time, error) {
	const op = "look until when to keep"
	if err := b.check(ctx, op, name); err != nil {
		return time.Time{}, err
	}
	until, err := retainedUntil(b.path(name))
	if err != nil {
		return time.Time{}, failed(op, name, err)
	}
	return until, nil
}

// RetentionCheck tries whether the file system keeps extended attributes.
func (b *Backend) RetentionCheck(ctx context.Context) error {
	const op = "check the retention of"
	if ctx.Err() != nil {
		return &backend.Error{Op: op, Object: b.root, Err: context.Cause(ctx)}
	}
	dir := filepath.Join(b.root, tempDir)
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return failed(op, b.root, err)
	}
	f, err := os.CreateTemp(dir, "put-")
	if err != nil {
		return failed(op, b.root, err)
	}
	err = retainFile(f, b.clock.Now())
	if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return &backend.Error{
			Op: op, Object: b.root, Err: err,
			Hint: "keep the repository on a file system with extended attributes of users, like ext4 or XFS, or take the retention out of the configuration",
		}
	}
	return nil
}

func retainFile(f *os.File, until time.Time) error {
	return setAttribute(f, retainAttribute, until.UTC().Format(time.RFC3339))
}

// retainedUntil returns until when a file is kept. What cannot be understood keeps
// it: somebody wanted that.
func retainedUntil(path string) (time.Time, error) {
	text, err := attribute(path, retainAttribute)
	switch {
	case errors.Is(err, errNoAttribute), errors.Is(err, backend.ErrUnsupported):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, err
	}
	until, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("its attribute %s is no time: %q", retainAttribute, text)
	}
	return until, nil
}

// keeps returns ErrRetained for a file that may not be deleted or replaced yet.
func (b *Backend) keeps(op, name string) error {
	until, err := retainedUntil(b.path(name))
	switch {
	case missing(err) || errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return failed(op, name, err)
	case !b.clock.Now().Before(until):
		return nil
	}
	return &backend.Error{Op: op, Object: name, Err: fmt.Errorf("%w: until %s", backend.ErrRetained, until.Format("2 January 2006 15:04 UTC"))}
}
