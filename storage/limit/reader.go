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
func (b *Backend) slowly(ctx context.Context, name string, body io.ReadCloser, weight int64) io.ReadCloser {
	r := &reader{b: b, ctx: ctx, name: name, ReadCloser: body, weight: weight}
	if again, ok := body.(backend.Resumer); ok {
		return &resumer{r, again}
	}
	return r
}

// reader is a body at the pace of the limit.
type reader struct {
	io.ReadCloser
	b      *Backend
	ctx    context.Context //nolint:containedctx // a reader lives as long as the context it was opened with
	name   string
	weight int64
}

func (r *reader) Read(p []byte) (int, error) {
	limits := r.b.limits
	if !limits.enter(r.ctx, r.weight) {
		return 0, ended(r.ctx, "get", r.name)
	}
	n, err := r.ReadCloser.Read(p[:min(len(p), readAtOnce)])
	limits.leave(r.weight)
	if n > 0 && limits.down.take(r.ctx, float64(n)) != nil {
		return 0, ended(r.ctx, "get", r.name)
	}
	return n, err
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
	defer done()
	body, err := r.again.Resume(ctx, n)
	if err != nil {
		return nil, err
	}
	return r.b.slowly(ctx, r.name, body, r.weight), nil
}
