package retry

import (
	"context"

	"mahavishnu/storage/backend"
)

// List lists objects, and goes on after the last name when it breaks.
func (b *Backend) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	l := &listing{effort: b.begin("list", prefix), prefix: prefix, fn: fn, ascending: true}
	for {
		err := l.attempt(ctx, l.pass)
		if l.stopped != nil {
			return l.stopped
		}
		if err == nil {
			return nil
		}
		if !l.ascending {
			return err // what was handed out cannot be told from the rest
		}
		if err := l.pause(ctx, err); err != nil {
			return err
		}
	}
}

// listing is a listing with all its tries.
type listing struct {
	*effort
	prefix string
	fn     func(backend.Info) error

	last      string // the last name that was handed out; "" before the first
	ascending bool   // so were all of them
	stopped   error  // what fn ended the listing with
}

// pass lists once, past what was handed out before.
func (l *listing) pass(ctx context.Context) error {
	before := l.last
	err := l.b.inner.List(ctx, l.prefix, func(i backend.Info) error {
		l.answers()
		if before != "" && i.Name <= before {
			return nil
		}
		l.ascending = l.ascending && i.Name > l.last
		l.last = i.Name
		l.progressed()
		l.stopped = l.fn(i)
		return l.stopped
	})
	if l.stopped != nil {
		err = nil // the caller's own wish, and no failure of the storage
	}
	return err
}
