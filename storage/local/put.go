package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mahavishnu/storage/backend"
)

// largeFrom is the size from which an object is written past the page cache, as
// far as its place in memory and the file system allow. Of what went into the cache
// the kernel is asked to start writing it at once, so that the later Sync finds
// little left to do.
const largeFrom = 1 << 20

// Put writes a temporary file and gives it its name in one step.
func (b *Backend) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	const op = "write"
	if err := b.check(ctx, op, name); err != nil {
		return err
	}
	b.sweep.Do(b.sweepStale)
	final := b.path(name)
	if o.IfAbsent {
		// Spares writing what is going to be refused; publishNew decides.
		if info, err := os.Lstat(final); err == nil && !info.IsDir() {
			return taken(op, name, final, info)
		}
	} else if err := b.keeps("replace", name); err != nil {
		return err
	}
	temp, err := b.writeTemp(data, o)
	if err != nil {
		return failed(op, name, err)
	}
	publish := os.Rename
	if o.IfAbsent {
		publish = publishNew
	}
	err = publish(temp, final)
	if missing(err) {
		if err = os.MkdirAll(filepath.Dir(final), 0o700); err == nil {
			err = publish(temp, final)
		}
	}
	if err != nil && isDir(final) {
		if err = b.moveAside(final); err == nil {
			err = publish(temp, final)
		}
	}
	if err != nil {
		return b.refused(op, name, errors.Join(err, ignoreMissing(os.Remove(temp))))
	}
	if o.Sync {
		if err := b.syncDirs(dirSet(b.root, final)); err != nil {
			return failed("sync", name, err)
		}
	}
	return nil
}

// refused says why an object did not get its name.
func (b *Backend) refused(op, name string, err error) error {
	if info, statErr := os.Lstat(b.path(name)); statErr == nil && errors.Is(err, fs.ErrExist) {
		return taken(op, name, b.path(name), info)
	}
	if errors.Is(err, fs.ErrExist) {
		err = backend.ErrExists // it was there, and is gone since
	}
	return failed(op, name, err)
}

// taken says that a name is taken: by an object, or by something that is none.
func taken(op, name, path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return &backend.Error{Op: op, Object: name, Err: backend.ErrExists}
	}
	return &backend.Error{
		Op: op, Object: name, Err: fmt.Errorf("what lies under its name is no file (%v)", info.Mode().Type()),
		Hint: "move " + path + " away",
	}
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// moveAside gives a directory that lies under an object's name a name of its own
// below asideDir. The slash at the end stands for a directory alone: an object that
// another process puts meanwhile stays where it is.
func (b *Backend) moveAside(path string) error {
	aside := filepath.Join(b.root, asideDir)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	to, err := os.MkdirTemp(aside, filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	if err := os.Remove(to); err != nil { // its name is what was wanted
		return err
	}
	return os.Rename(path+string(filepath.Separator), to)
}

// writeTemp writes data to a new temporary file and returns its path. With
// Sync the bytes are durable when it returns.
func (b *Backend) writeTemp(data []byte, o backend.PutOptions) (string, error) {
	dir := filepath.Join(b.root, tempDir)
	f, err := os.CreateTemp(dir, "put-")
	if missing(err) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			f, err = os.CreateTemp(dir, "put-")
		}
	}
	if err != nil {
		return "", err
	}
	err = write(f, data)
	if err == nil && !o.RetainUntil.IsZero() {
		err = retainFile(f, o.RetainUntil)
	}
	switch {
	case err != nil:
	case o.Sync:
		err = f.Sync()
	case len(data) >= largeFrom:
		startWriteback(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func write(f *os.File, data []byte) error {
	if len(data) >= largeFrom {
		n, err := writeDirect(f, data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	_, err := f.Write(data)
	return err
}

func ignoreMissing(err error) error {
	if missing(err) {
		return nil
	}
	return err
}
