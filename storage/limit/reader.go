package limit

import (
	"context"
	"io"

	"mahavishnu/storage/backend"
)

// readAtOnce bounds what is asked of a body at once, so that it arrives evenly.
const readAtOnce = 64 << 10

// slowly returns a body that is read at the pace of the limit; and one that can be
// resumed, if it was.
func (b *Backend) slowly(ctx context.Context, name string, body io.ReadCloser, done func()) io.ReadCloser {
	r := &reader{b: b, ctx: ctx, name: name, body: body, done: done}
	if again, ok := body.(backend.Resumer); ok {
		return &resumer{r, again}
	}
	return r
}

// reader is a body at the pace of the limit.
type reader struct {
	b    *Backend
	ctx  context.Context //nolint:containedctx // a reader lives as long as the context it was opened with
	name string
	body io.ReadCloser
	done func()
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p[:min(len(p), readAtOnce)])
	if n > 0 && r.b.limits.down.take(r.ctx, float64(n)) != nil {
		return 0, ended(r.ctx, "get", r.name)
	}
	if err != nil {
		r.done()
	}
	return n, err
}

func (r *reader) Close() error {
	r.done()
	return r.body.Close()
}

// resumer is a body that can be resumed, within the same limits.
type resumer struct {
	*reader
	again backend.Resumer
}

func (r *resumer) Resume(ctx context.Context, n int64) (io.ReadCloser, error) {
	done, err := r.b.begin(ctx, "get", r.name, -1)
	if err != nil {
		return nil, err
	}
	body, err := r.again.Resume(ctx, n)
	if err != nil {
		done()
		return nil, err
	}
	return r.b.slowly(ctx, r.name, body, done), nil
}
