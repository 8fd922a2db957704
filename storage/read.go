package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrOversize means that an object is larger than any of its kind can be.
var ErrOversize = errors.New("object is larger than any of its kind can be")

// firstRead is the space, in bytes, that ReadAll begins with: enough for nearly all
// objects that are read whole.
const firstRead = 64 << 10

// ReadAll reads a whole object into buf's space (or into a new slice when that
// is too small) and returns it. An object larger than limit bytes is refused,
// so that a damaged or hostile storage cannot fill the memory. It takes one
// request; bytes that changed on the way are read once more.
func ReadAll(ctx context.Context, be Backend, name string, limit int64, buf []byte) ([]byte, error) {
	data, err := readAll(ctx, be, name, limit, buf)
	if errors.Is(err, ErrDamaged) {
		data, err = readAll(ctx, be, name, limit, buf)
	}
	return data, err
}

func readAll(ctx context.Context, be Backend, name string, limit int64, buf []byte) ([]byte, error) {
	r, err := be.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	data, err := drain(r, limit, buf[:0])
	if err = errors.Join(err, r.Close()); err == nil {
		return data, nil
	}
	return nil, failedRead(ctx, name, err)
}

// drain reads to the end, of at most limit bytes, and a byte more to know.
func drain(r io.Reader, limit int64, data []byte) ([]byte, error) {
	for {
		if len(data) == cap(data) {
			data = slices.Grow(data, int(min(max(int64(cap(data)), firstRead), limit+1-int64(len(data)))))
		}
		n, err := r.Read(data[len(data):min(int64(cap(data)), limit+1)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > limit:
			return nil, fmt.Errorf("%w: more than %d bytes", ErrOversize, limit)
		case err == io.EOF: // and not a failure that has one for its cause
			return data, nil
		case err != nil:
			return nil, err
		}
	}
}

// ReadRange fills buf from the object's bytes at offset, or fails. Bytes that changed
// on the way are read once more.
func ReadRange(ctx context.Context, be Backend, name string, offset int64, buf []byte) error {
	if len(buf) == 0 {
		return nil
	}
	err := readRange(ctx, be, name, offset, buf)
	if errors.Is(err, ErrDamaged) {
		err = readRange(ctx, be, name, offset, buf)
	}
	return err
}

func readRange(ctx context.Context, be Backend, name string, offset int64, buf []byte) error {
	r, err := be.Get(ctx, name, offset, int64(len(buf)))
	if err != nil {
		return err
	}
	return errors.Join(ReadNext(ctx, r, name, buf), r.Close())
}

// ReadNext fills buf from what Get returned for the object, or fails: with
// ErrShort when it ends before.
func ReadNext(ctx context.Context, r io.Reader, name string, buf []byte) error {
	_, err := io.ReadFull(r, buf)
	if err == nil {
		return nil
	}
	if err == io.ErrUnexpectedEOF || err == io.EOF { // and not a connection that ended
		err = ErrShort
	}
	return failedRead(ctx, name, err)
}

func failedRead(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ErrShort) {
		err = context.Cause(ctx)
	}
	return &Error{Op: "read", Object: name, Err: err}
}
