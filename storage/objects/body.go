package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"mahavishnu/storage/backend"
)

// Promise is what is known of a body before it arrives.
type Promise struct {
	// Length is how many bytes it has.
	Length int64
	// Hash and Sum are the checksum of all of them, when the storage told one; a nil Sum
	// leaves it at the length.
	Hash hash.Hash
	Sum  []byte
	// Failed puts an error of the connection into words for the caller.
	Failed func(error) error
	// Again opens what follows the first done bytes, of the very same version, and
	// passes what is left of the promise on to [Body]; nil where the storage cannot
	// name a version. With it the reader is a [backend.Resumer].
	Again func(ctx context.Context, done int64, left Promise) (io.ReadCloser, error)
}

// errCut is a connection that ended before the body did.
var errCut = errors.New("the answer ended early")

// Body returns a reader of exactly the bytes that were promised. A body that
// ends early or does not have its checksum is an error of Read, told before the last
// of its bytes is handed out: whoever reads as many bytes as were asked for, and
// never looks for the end, is told as well.
func Body(r io.ReadCloser, p Promise) io.ReadCloser {
	if p.Sum == nil || p.Hash == nil {
		p.Sum, p.Hash = nil, nil
	}
	b := &body{from: r, promise: p, left: p.Length}
	if p.Again != nil {
		return resumable{b}
	}
	return b
}

// resumable is a body that can go on after it broke.
type resumable struct{ *body }

// Resume opens the rest. The checksum goes on as well, where done is as much as was
// handed out.
func (r resumable) Resume(ctx context.Context, done int64) (io.ReadCloser, error) {
	left := r.promise
	read := left.Length - r.left
	if done < 0 || done > read {
		return nil, left.Failed(fmt.Errorf("cannot go on after %d bytes when %d were read", done, read))
	}
	if done != read {
		left.Hash, left.Sum = nil, nil
	}
	if left.Length -= done; left.Length <= 0 {
		return Body(Empty(), left), nil
	}
	again := left.Again
	left.Again = func(ctx context.Context, more int64, rest Promise) (io.ReadCloser, error) {
		return again(ctx, done+more, rest)
	}
	return again(ctx, done, left)
}

type body struct {
	from    io.ReadCloser
	promise Promise
	left    int64
	err     error // what every further Read returns
}

// Read hands out what has come.
func (b *body) Read(p []byte) (int, error) {
	if b.err == nil && b.left == 0 {
		b.err = b.end()
	}
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if b.promise.Hash != nil {
		_, _ = b.promise.Hash.Write(p[:n]) // a hash takes everything
	}
	if b.left == 0 {
		// What the connection says after the last byte is of no interest.
		if b.err = b.end(); b.err != io.EOF { //nolint:errorlint // set below, as it is
			return 0, b.err
		}
		return n, nil
	}
	switch {
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		got := b.promise.Length - b.left
		b.err = b.promise.Failed(&backend.TemporaryError{Err: fmt.Errorf("%w: after %d of %d bytes", errCut, got, b.promise.Length)})
	case err != nil:
		b.err = b.promise.Failed(err)
	}
	return n, b.err
}

// end judges a body that arrived whole: io.EOF when it is what was promised.
func (b *body) end() error {
	if b.promise.Hash != nil && !bytes.Equal(b.promise.Hash.Sum(nil), b.promise.Sum) {
		err := fmt.Errorf("%w: their checksum is %x, and the storage says it has %x", backend.ErrDamaged, b.promise.Hash.Sum(nil), b.promise.Sum)
		return b.promise.Failed(&backend.TemporaryError{Err: err})
	}
	return io.EOF
}

// Close closes the body. All there is to know was told by Read: what a connection says
// when it is let go of, such as that its request was cancelled, is no failure.
func (b *body) Close() error {
	_ = b.from.Close()
	return nil
}

// Empty returns a body without bytes.
func Empty() io.ReadCloser { return io.NopCloser(bytes.NewReader(nil)) }
