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

// List walks the directory tree below prefix.
func (b *Backend) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	const op = "list"
	if err := backend.CheckPrefix(op, prefix); err != nil {
		return err
	}
	return b.list(ctx, prefix, fn)
}

func (b *Backend) list(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	const op = "list"
	dir, err := os.Open(filepath.Join(b.root, filepath.FromSlash(prefix)))
	if missing(err) {
		return nil
	}
	if err != nil {
		return failed(op, prefix, err)
	}
	defer dir.Close()
	var subdirs []string
	for {
		if ctx.Err() != nil {
			return &backend.Error{Op: op, Object: prefix, Err: context.Cause(ctx)}
		}
		entries, err := dir.ReadDir(listBatch)
		for _, e := range entries {
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case e.IsDir():
				subdirs = append(subdirs, e.Name())
			case e.Type().IsRegular():
				if err := listFile(prefix, e, fn); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) || missing(err) {
			break
		}
		if err != nil {
			return failed(op, prefix, err)
		}
	}
	for _, sub := range subdirs {
		if err := b.list(ctx, prefix+sub+"/", fn); err != nil {
			return err
		}
	}
	return nil
}

// listFile reports one file. A file that no backend could have put is skipped:
// someone else's business (lost+found, editor backups).
func listFile(prefix string, e fs.DirEntry, fn func(backend.Info) error) error {
	name := prefix + e.Name()
	if !backend.ValidName(name) {
		return nil
	}
	info, err := e.Info()
	if missing(err) {
		return nil // deleted since it was read
	}
	if err != nil {
		return failed("list", name, err)
	}
	return fn(backend.Info{Name: name, Size: info.Size(), ModTime: info.ModTime()})
}
