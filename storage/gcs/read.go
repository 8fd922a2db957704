package gcs

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"cloud.google.com/go/storage"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/objects"
)

// errReplaced means that what is left to read is another object's.
var errReplaced = errors.New("the object was replaced while it was read")

type breakKey struct{}

// breakage is how the body of a read broke. Its end is the read's.
type breakage struct {
	stop context.CancelFunc
	err  error
}

// watched is a body that ends its read when it breaks.
type watched struct {
	io.ReadCloser
	breakage *breakage
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		w.breakage.err = err
		w.breakage.stop()
	}
	return n, err
}

// reading is a reader of the SDK's whose context ends when it is closed, and that
// tells how the connection broke.
type reading struct {
	*storage.Reader
	breakage *breakage
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && r.breakage.err != nil {
		err = r.breakage.err
	}
	return n, err
}

func (r *reading) Close() error {
	defer r.breakage.stop()
	if err := r.Reader.Close(); r.breakage.err == nil {
		return err
	}
	return nil // that it broke was told when it was read
}

// Get reads a range with one request; one that is empty, with a look at the size.
func (b *Backend) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	const op = "read"
	if err := objects.Check(ctx, op, name); err != nil {
		return nil, err
	}
	span := objects.Span{Offset: offset, Length: length}
	if span.Look() {
		return b.look(ctx, op, name, span)
	}
	body, err := b.download(ctx, b.object(name), span)
	if err != nil {
		failed := b.unseen(ctx, op, name, err)
		if length < 0 && errors.Is(failed, backend.ErrShort) {
			return b.look(ctx, op, name, span) // "to the end" may begin there
		}
		return nil, failed
	}
	promise, err := arriving(body.Attrs, span, body.Remain())
	if err != nil {
		return nil, &backend.Error{Op: op, Object: name, Err: errors.Join(err, body.Close())}
	}
	b.exists.Store(true)
	promise.Failed = func(err error) error { return b.failed(ctx, op, name, reader, err) }
	if body.Attrs.Generation > 0 {
		promise.Again = b.again(name, offset, body.Attrs.Generation)
	}
	return objects.Body(body, promise), nil
}

// download asks for a range.
func (b *Backend) download(ctx context.Context, object *storage.ObjectHandle, span objects.Span) (*reading, error) {
	ctx, stop := context.WithCancel(ctx)
	broken := &breakage{stop: stop}
	length := span.Length
	if length < 0 {
		length = -1
	}
	r, err := object.NewRangeReader(context.WithValue(ctx, breakKey{}, broken), span.Offset, length, storage.WithDisableReaderChecksum())
	if err != nil {
		stop()
		return nil, err
	}
	return &reading{Reader: r, breakage: broken}, nil
}

// again returns what opens the rest of a body that broke, of the same generation of
// the object.
func (b *Backend) again(name string, offset, generation int64) func(context.Context, int64, objects.Promise) (io.ReadCloser, error) {
	const op = "read"
	return func(ctx context.Context, done int64, left objects.Promise) (io.ReadCloser, error) {
		if err := objects.Ended(ctx, op, name); err != nil {
			return nil, err
		}
		span := objects.Span{Offset: offset + done, Length: left.Length}
		body, err := b.download(ctx, b.object(name).Generation(generation), span)
		if err != nil {
			failed := b.failed(ctx, op, name, reader, err)
			if errors.Is(failed, backend.ErrNotFound) {
				failed = &backend.Error{Op: op, Object: name, Err: errReplaced, Hint: "read it again"}
			}
			return nil, failed
		}
		if _, err := arriving(body.Attrs, span, body.Remain()); err != nil {
			return nil, &backend.Error{Op: op, Object: name, Err: errors.Join(err, body.Close())}
		}
		left.Failed = func(err error) error { return b.failed(ctx, op, name, reader, err) }
		return objects.Body(body, left), nil
	}
}

// look answers what the size alone tells: whether an empty range, or one that is in
// no object, lies inside this one.
func (b *Backend) look(ctx context.Context, op, name string, span objects.Span) (io.ReadCloser, error) {
	attrs, err := b.attrs(ctx, op, name)
	if err != nil {
		return nil, err
	}
	n, err := span.Within(attrs.Size)
	if err == nil && n > 0 {
		err = &backend.TemporaryError{Err: errReplaced}
	}
	if err != nil {
		return nil, &backend.Error{Op: op, Object: name, Err: err}
	}
	return objects.Empty(), nil
}

// arriving tells what body an answer has, and whether it is the range asked for. n is
// the length of what is sent.
func arriving(attrs storage.ReaderObjectAttrs, span objects.Span, n int64) (objects.Promise, error) {
	if n < 0 || attrs.Size < 0 || attrs.Decompressed {
		return objects.Promise{}, errors.New("the server does not tell the answer's length")
	}
	want, err := span.Within(attrs.Size)
	if err != nil {
		return objects.Promise{}, err
	}
	if attrs.StartOffset != span.Offset || n != want {
		return objects.Promise{}, &backend.TemporaryError{Err: errors.New("the server sends another range than was asked for")}
	}
	p := objects.Promise{Length: n}
	if n == attrs.Size && attrs.CRC32C != 0 { // the checksum is of the whole object; 0 is none
		p.Hash, p.Sum = crc32.New(castagnoli), binary.BigEndian.AppendUint32(nil, attrs.CRC32C)
	}
	return p, nil
}
