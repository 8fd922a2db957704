package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mahavishnu/storage/backend"
)

// listBatch is how many directory entries are read at a time, so that a
// directory of any size takes little memory.
const listBatch = 1024

// maxFailures bounds the errors that a listing returns.
const maxFailures = 16

// List walks the directory tree below prefix. A directory or file that cannot be
// looked at does not end it: everything else is listed, and then it fails.
func (b *Backend) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	if err := backend.CheckPrefix("list", prefix); err != nil {
		return err
	}
	l := listing{root: b.root, fn: fn}
	if err := l.dir(ctx, prefix); err != nil {
		return err
	}
	if len(l.failures) == 1 {
		return l.failures[0]
	}
	return errors.Join(l.failures...)
}

// listing is one List.
type listing struct {
	root     string
	fn       func(backend.Info) error
	failures []error // the first of what could not be looked at
}

func (l *listing) fail(object string, err error) {
	if len(l.failures) < maxFailures {
		l.failures = append(l.failures, failed("list", object, err))
	}
}

// dir lists what is below one directory. It returns what ends the listing.
func (l *listing) dir(ctx context.Context, prefix string) error {
	dir, err := os.Open(filepath.Join(l.root, filepath.FromSlash(prefix)))
	if missing(err) {
		return nil
	}
	if err != nil {
		l.fail(prefix, err)
		return nil
	}
	defer dir.Close()
	var subdirs []string
	for {
		if ctx.Err() != nil {
			return &backend.Error{Op: "list", Object: prefix, Err: context.Cause(ctx)}
		}
		entries, err := dir.ReadDir(listBatch)
		for _, e := range entries {
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case e.IsDir():
				subdirs = append(subdirs, e.Name())
			case e.Type().IsRegular():
				if err := l.file(prefix, e); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) || missing(err) {
			break
		}
		if err != nil {
			l.fail(prefix, err)
			break
		}
	}
	for _, sub := range subdirs {
		if err := l.dir(ctx, prefix+sub+"/"); err != nil {
			return err
		}
	}
	return nil
}

// file reports one file. A file that no backend could have put is skipped:
// someone else's business (lost+found, editor backups).
func (l *listing) file(prefix string, e fs.DirEntry) error {
	name := prefix + e.Name()
	if !backend.ValidName(name) {
		return nil
	}
	info, err := e.Info()
	if missing(err) {
		return nil // deleted since it was read
	}
	if err != nil {
		l.fail(name, err)
		return nil
	}
	return l.fn(backend.Info{Name: name, Size: info.Size(), ModTime: info.ModTime()})
}
