// Package metered wraps a backend and tells an observer of every operation: what
// it was, how it ended, how many bytes it moved and how long it took.
//
// The observer's method takes plain values, so that who keeps metrics need not
// know storage. Results are one of a fixed set of words, see [Result].
package metered

import (
	"context"
	"errors"
	"io"
	"time"

	"mahavishnu/clock"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/remote"
)

// Observer is told of operations. It must be safe for concurrent use and quick.
type Observer interface {
	// StorageOperation is told of an operation when it ends: its name (put, get, stat,
	// list, delete, sync, retain, retained, check_retention, thaw), its [Result], the bytes of objects that
	// it moved, and the time spent waiting for the storage. A get ends when its
	// body has been read or is closed.
	StorageOperation(op, result string, bytes int64, took time.Duration)
}

// Result returns the word for how an operation ended: ok, not_found, exists, short,
// read_only, full, bad_name, denied, retained, archived, damaged, unsupported,
// canceled, temporary or failed.
func Result(err error) string {
	if err == nil {
		return "ok"
	}
	for _, known := range []struct {
		err  error
		word string
	}{
		{backend.ErrNotFound, "not_found"},
		{backend.ErrExists, "exists"},
		{backend.ErrShort, "short"},
		{backend.ErrReadOnly, "read_only"},
		{backend.ErrFull, "full"},
		{backend.ErrBadName, "bad_name"},
		{backend.ErrDenied, "denied"},
		{backend.ErrRetained, "retained"},
		{backend.ErrArchived, "archived"},
		{backend.ErrDamaged, "damaged"},
		{backend.ErrUnsupported, "unsupported"},
		{context.Canceled, "canceled"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	if remote.Temporary(err) {
		return "temporary"
	}
	return "failed"
}

// Backend is a backend that is watched.
type Backend struct {
	inner    backend.Backend
	observer Observer
	clock    clock.Clock
}

// Wrap returns inner with an observer, and with the abilities that it has. A nil clock is
// the system's.
func Wrap(inner backend.Backend, o Observer, c clock.Clock) backend.Backend {
	b := &Backend{inner: inner, observer: o, clock: clock.Or(c)}
	var r backend.Retainer
	if keeps, ok := inner.(backend.Retainer); ok {
		r = &retainer{b, keeps}
	}
	var t backend.Thawer
	if thaws, ok := inner.(backend.Thawer); ok {
		t = &thawer{b, thaws}
	}
	return backend.WithAbilities(b, r, t)
}

// Unwrap returns what is watched.
func (b *Backend) Unwrap() backend.Backend { return b.inner }

// watch tells of one operation that moves bytes when it succeeds.
func (b *Backend) watch(op string, bytes int64, do func() error) error {
	begun := b.clock.Now()
	err := do()
	if err != nil {
		bytes = 0
	}
	b.observer.StorageOperation(op, Result(err), bytes, b.clock.Now().Sub(begun))
	return err
}

// Put stores an object.
func (b *Backend) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	return b.watch("put", int64(len(data)), func() error { return b.inner.Put(ctx, name, data, o) })
}

// Get opens a range of an object.
func (b *Backend) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	begun := b.clock.Now()
	body, err := b.inner.Get(ctx, name, offset, length)
	took := b.clock.Now().Sub(begun)
	if err != nil {
		b.observer.StorageOperation("get", Result(err), 0, took)
		return nil, err
	}
	r := &reader{b: b, body: body, took: took}
	if again, ok := body.(backend.Resumer); ok {
		return &resumer{r, again}, nil
	}
	return r, nil
}

// reader counts what is read.
type reader struct {
	b     *Backend
	body  io.ReadCloser
	bytes int64
	took  time.Duration
	told  bool
}

func (r *reader) Read(p []byte) (int, error) {
	begun := r.b.clock.Now()
	n, err := r.body.Read(p)
	r.took += r.b.clock.Now().Sub(begun)
	r.bytes += int64(n)
	switch {
	case err == io.EOF:
		r.tell(nil)
	case err != nil:
		r.tell(err)
	}
	return n, err
}

func (r *reader) Close() error {
	r.tell(nil)
	return r.body.Close()
}

func (r *reader) tell(err error) {
	if !r.told {
		r.told = true
		r.b.observer.StorageOperation("get", Result(err), r.bytes, r.took)
	}
}

// resumer is a reader whose body can be resumed. What is left is counted as a get
// of its own.
type resumer struct {
	*reader
	again backend.Resumer
}

func (r *resumer) Resume(ctx context.Context, done int64) (io.ReadCloser, error) {
	begun := r.b.clock.Now()
	body, err := r.again.Resume(ctx, done)
	took := r.b.clock.Now().Sub(begun)
	if err != nil {
		r.b.observer.StorageOperation("get", Result(err), 0, took)
		return nil, err
	}
	rest := &reader{b: r.b, body: body, took: took}
	if again, ok := body.(backend.Resumer); ok {
		return &resumer{rest, again}, nil
	}
	return rest, nil
}

// Stat describes an object.
func (b *Backend) Stat(ctx context.Context, name string) (info backend.Info, err error) {
	err = b.watch("stat", 0, func() error {
		info, err = b.inner.Stat(ctx, name)
		return err
	})
	return info, err
}

// List lists objects. The time that fn takes is not counted, and what it ends the
// listing with is no failure.
func (b *Backend) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	begun := b.clock.Now()
	var away time.Duration
	var stopped error
	err := b.inner.List(ctx, prefix, func(i backend.Info) error {
		left := b.clock.Now()
		stopped = fn(i)
		away += b.clock.Now().Sub(left)
		return stopped
	})
	result := Result(err)
	if stopped != nil {
		result = Result(nil)
	}
	b.observer.StorageOperation("list", result, 0, b.clock.Now().Sub(begun)-away)
	return err
}

// Delete removes an object.
func (b *Backend) Delete(ctx context.Context, name string) error {
	return b.watch("delete", 0, func() error { return b.inner.Delete(ctx, name) })
}

// Sync makes objects durable.
func (b *Backend) Sync(ctx context.Context, names []string) error {
	return b.watch("sync", 0, func() error { return b.inner.Sync(ctx, names) })
}

// Location is that of the wrapped backend.
func (b *Backend) Location() string { return b.inner.Location() }

// Close closes the wrapped backend.
func (b *Backend) Close() error { return b.inner.Close() }
