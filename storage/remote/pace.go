package remote

import (
	"context"
	"io"
	"net/http"
)

// Pacer slows bodies down while they are sent.
type Pacer interface {
	// Pace returns when n more bytes may be sent, or with the context's cause.
	Pace(ctx context.Context, n int) error
}

type paceKey struct{}

// WithPace returns a context whose requests have their bodies sent at the pace of p. Without
// it a limit could only wait between whole objects, and each would still be sent
// as fast as the link allows.
func WithPace(ctx context.Context, p Pacer) context.Context {
	return context.WithValue(ctx, paceKey{}, p)
}

// paced returns the request, with its body at the pace that its context asks for.
func paced(r *http.Request) *http.Request {
	p, ok := r.Context().Value(paceKey{}).(Pacer)
	if !ok || r.Body == nil || r.Body == http.NoBody {
		return r
	}
	r = r.WithContext(r.Context()) // a RoundTripper changes no request
	r.Body = &pacedBody{ReadCloser: r.Body, ctx: r.Context(), pacer: p}
	return r
}

// pacedBody hands out a body as it may be sent.
type pacedBody struct {
	io.ReadCloser
	ctx   context.Context //nolint:containedctx // of the request whose body it is
	pacer Pacer
}

// pacedPart is what is sent at once: small beside what a second allows for at any rate worth
// setting.
const pacedPart = 16 << 10

func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), pacedPart)])
	if n > 0 {
		if perr := b.pacer.Pace(b.ctx, n); perr != nil {
			return 0, perr
		}
	}
	return n, err
}
