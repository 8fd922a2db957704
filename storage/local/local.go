// Package local keeps objects as files of one directory. DESIGN.md beside this
// file says why each step is taken and in which order.
//
// The file of object a/b is <root>/a/b, mode 0600. Names that start with a dot
// are the package's own: <root>/.tmp holds what is being written, <root>/.aside
// directories that lay where an object belongs.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"mahavishnu/clock"
	"mahavishnu/storage/backend"
)

// Backend is a directory of objects.
type Backend struct {
	root  string
	clock clock.Clock
	sweep sync.Once // stale temporary files go before the first put
}

var _ backend.Backend = (*Backend)(nil)

// Open returns the backend of the directory root, which need not exist yet:
// the first put creates it.
func Open(root string) (*Backend, error) {
	const op = "open storage"
	if root == "" {
		return nil, &backend.Error{
			Op: op, Object: `""`, Err: errors.New("no directory given"),
			Hint: "write it as file:///absolute/path",
		}
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, &backend.Error{Op: op, Object: root, Err: err}
	}
	switch info, err := os.Stat(abs); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, failed(op, abs, err)
	case !info.IsDir():
		return nil, &backend.Error{
			Op: op, Object: abs, Err: errors.New("not a directory"),
			Hint: "name a directory that holds nothing else",
		}
	}
	return &Backend{root: abs, clock: clock.Or(nil)}, nil
}

// Location returns the directory as a URL.
func (b *Backend) Location() string {
	path := filepath.ToSlash(b.root)
	if path[0] != '/' {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// Close does nothing: no file stays open between calls.
func (b *Backend) Close() error { return nil }

// Get opens the file and checks the range against its size, so that a
// truncated object is told before a byte is used.
func (b *Backend) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	const op = "read"
	if err := b.check(ctx, op, name); err != nil {
		return nil, err
	}
	f, err := openObject(b.path(name))
	if err != nil {
		return nil, failed(op, name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, failed(op, name, errors.Join(err, f.Close()))
	}
	if length < 0 {
		length = info.Size() - offset
	}
	if offset < 0 || length < 0 || offset > info.Size() || length > info.Size()-offset {
		err := fmt.Errorf("%w: bytes %d to %d of %d", backend.ErrShort, offset, offset+max(length, 0), info.Size())
		return nil, &backend.Error{Op: op, Object: name, Err: errors.Join(err, f.Close())}
	}
	return &reader{SectionReader: io.NewSectionReader(f, offset, length), f: f}, nil
}

// reader is a range of an open file.
type reader struct {
	*io.SectionReader
	f *os.File
}

func (r *reader) Close() error { return r.f.Close() }

// Stat returns the size of the file.
func (b *Backend) Stat(ctx context.Context, name string) (backend.Info, error) {
	const op = "stat"
	if err := b.check(ctx, op, name); err != nil {
		return backend.Info{}, err
	}
	info, err := os.Lstat(b.path(name))
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return backend.Info{}, failed(op, name, err)
	}
	return backend.Info{Name: name, Size: info.Size(), ModTime: info.ModTime()}, nil
}

// Delete unlinks the file and makes that durable, so that deletions survive the
// loss of power in the order they were made. Directories stay: removing one
// could race with a put into it.
func (b *Backend) Delete(ctx context.Context, name string) error {
	const op = "delete"
	if err := b.check(ctx, op, name); err != nil {
		return err
	}
	if err := b.keeps(op, name); err != nil {
		return err
	}
	path := b.path(name)
	err := os.Remove(path)
	if missing(err) || err != nil && isDir(path) { // which is no object
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path), true)
	}
	if err != nil {
		return failed(op, name, err)
	}
	return nil
}

func (b *Backend) check(ctx context.Context, op, name string) error {
	if err := backend.CheckName(op, name); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &backend.Error{Op: op, Object: name, Err: context.Cause(ctx)}
	}
	return nil
}

func (b *Backend) path(name string) string {
	return filepath.Join(b.root, filepath.FromSlash(name))
}
