package retry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/storage/backend"
)

// errReplaced means that a body that broke cannot be ended.
var errReplaced = errors.New("the connection broke while it was read, and the object is another one now")

// Get opens a range of an object. Its reader goes on by itself when it breaks.
func (b *Backend) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	r := &reader{effort: b.begin("get", name), ctx: ctx, offset: offset, length: length}
	err := b.do(ctx, "get", name, func(ctx context.Context) (err error) {
		r.body, err = b.inner.Get(ctx, name, offset, length)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, ok := r.body.(backend.Resumer); !ok {
		r.sum = xxhash.New()
	}
	return r, nil
}

// reader reads a body that may break.
type reader struct {
	*effort
	ctx            context.Context //nolint:containedctx // a reader lives as long as the context it was opened with
	offset, length int64

	body io.ReadCloser
	read int64 // from body
	done int64 // handed out in all
	// sum is of what was handed out, kept where the backend cannot tell that the
	// object is still the same.
	sum *xxhash.Digest
	err error
}

// Read reads on, through as many breaks as are worth it.
func (r *reader) Read(p []byte) (int, error) {
	for r.err == nil {
		n, err := r.body.Read(p)
		if n > 0 {
			r.read += int64(n)
			r.done += int64(n)
			if r.sum != nil {
				_, _ = r.sum.Write(p[:n]) // a hash takes all
			}
			r.progressed()
		}
		switch {
		case err == io.EOF, err != nil && !resumable(err):
			r.err = err
		case err != nil:
			r.err = r.resume(err)
		}
		if n > 0 {
			return n, nil
		}
		if err == nil {
			return 0, nil
		}
	}
	return 0, r.err
}

// resumable tells whether a body can go on after an error. What changed on the way
// has been handed out already: then all of it has to be read again, by the caller.
func resumable(err error) bool { return temporary(err) && !errors.Is(err, backend.ErrDamaged) }

// resume opens what is left after a failure.
func (r *reader) resume(err error) error {
	g := r.b.gate
	g.mu.Lock()
	step := g.step
	g.mu.Unlock()
	g.leave(turn{step: step}, failing, err) // a failure like any, though no try of its own
	for {
		if err := r.pause(r.ctx, err); err != nil {
			return err
		}
		err = r.attempt(r.ctx, func(ctx context.Context) error { return r.reopen(ctx) })
		if err == nil {
			return nil
		}
	}
}

func (r *reader) reopen(ctx context.Context) error {
	if again, ok := r.body.(backend.Resumer); ok {
		body, err := again.Resume(ctx, r.read)
		if err != nil {
			return err
		}
		_ = r.body.Close() // which broke
		r.body, r.read = body, 0
		return nil
	}
	body, err := r.b.inner.Get(ctx, r.name, r.offset, r.length)
	if err != nil {
		return err
	}
	if err := r.skip(body); err != nil {
		_ = body.Close()
		return err
	}
	_ = r.body.Close()
	r.body, r.read = body, r.done
	return nil
}

// skip reads past what was handed out, and compares.
func (r *reader) skip(body io.Reader) error {
	again := xxhash.New()
	if _, err := io.CopyN(again, body, r.done); err != nil {
		if err != io.EOF { //nolint:errorlint // CopyN returns that very value for a shorter body
			return err
		}
		return r.replaced()
	}
	if again.Sum64() != r.sum.Sum64() {
		return r.replaced()
	}
	return nil
}

func (r *reader) replaced() error {
	return &backend.Error{Op: "get", Object: r.name, Err: errReplaced, Hint: "read it again"}
}

// Close closes the body.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = fmt.Errorf("get %s: %w", r.name, errClosed)
	}
	return r.body.Close()
}

var errClosed = errors.New("read after close")
