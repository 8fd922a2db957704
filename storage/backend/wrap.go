package backend

import (
	"context"
	"io"
)

// Resumer is a reader, as Get may return it, that knows which version of the
// object it reads. What broke off in the middle can go on then without reading the
// start again, and without ever mixing two objects of one name.
type Resumer interface {
	// Resume opens what follows the first done bytes of this reader, which need not
	// have been closed: of the very same version, or it fails. What it returns is a
	// Resumer too, whose own start is there.
	Resume(ctx context.Context, done int64) (io.ReadCloser, error)
}

// WithAbilities returns be with the abilities that are given; a nil one is not
// shown. A wrapper passes those of what it wraps, put in wrappers of its own.
func WithAbilities(be Backend, r Retainer, t Thawer) Backend {
	switch {
	case r != nil && t != nil:
		return struct {
			able
			Retainer
			Thawer
		}{able{be}, r, t}
	case r != nil:
		return struct {
			able
			Retainer
		}{able{be}, r}
	case t != nil:
		return struct {
			able
			Thawer
		}{able{be}, t}
	}
	return be
}

// able is a backend to which abilities are added.
type able struct{ Backend }

// Unwrap returns the backend without them.
func (a able) Unwrap() Backend { return a.Backend }

// Unwrapper is a wrapper that shows what it wraps, to those who look for a kind of
// backend that can more than the contract says.
type Unwrapper interface {
	// Unwrap returns what is wrapped.
	Unwrap() Backend
}
