package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrOversize means that an object is larger than any of its kind can be.
var ErrOversize = errors.New("object is larger than any of its kind can be")

// ReadAll reads a whole object into buf's space (or into a new slice when that
// is too small) and returns it. An object larger than limit bytes is refused,
// so that a damaged or hostile storage cannot fill the memory.
func ReadAll(ctx context.Context, be Backend, name string, limit int64, buf []byte) ([]byte, error) {
	info, err := be.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	if info.Size > limit {
		return nil, &Error{
			Op: "read", Object: name,
			Err: fmt.Errorf("%w: %d bytes, at most %d", ErrOversize, info.Size, limit),
		}
	}
	if int64(cap(buf)) < info.Size {
		buf = make([]byte, info.Size)
	}
	buf = buf[:info.Size]
	if err := ReadRange(ctx, be, name, 0, buf); err != nil {
		return nil, err
	}
	return buf, nil
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
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		err = ErrShort
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return &Error{Op: "read", Object: name, Err: err}
}
