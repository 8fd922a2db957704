package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/remote"
)

// damagedTries is how often a transfer is made whose checksum never matches: it is
// not the link then.
const damagedTries = 3

// temporary tells whether an error may be gone when the operation is repeated.
func temporary(err error) bool {
	for _, settled := range []error{
		backend.ErrNotFound, backend.ErrExists, backend.ErrShort, backend.ErrReadOnly, backend.ErrFull, backend.ErrBadName,
		backend.ErrDenied, backend.ErrRetained, backend.ErrArchived, backend.ErrUnsupported,
	} {
		if errors.Is(err, settled) {
			return false
		}
	}
	return remote.Temporary(err)
}

// after returns how long the server asked to wait.
func after(err error) time.Duration {
	if t, ok := errors.AsType[*backend.TemporaryError](err); ok {
		return t.After
	}
	return 0
}

// effort is one operation with all its tries.
type effort struct {
	b        *Backend
	op, name string
	begun    time.Time
	since    time.Time // when something was achieved last, or begun
	tries    int       // since then
	total    int
	damaged  int
	turn     turn
	inside   bool // it has a turn, and how that fared is not known yet
}

func (b *Backend) begin(op, name string) *effort {
	now := b.o.Clock.Now()
	return &effort{b: b, op: op, name: name, begun: now, since: now}
}

// do tries until it works, or nothing is left to hope for.
func (b *Backend) do(ctx context.Context, op, name string, try func(context.Context) error) error {
	e := b.begin(op, name)
	for {
		err := e.attempt(ctx, try)
		if err == nil {
			return nil
		}
		if err := e.pause(ctx, err); err != nil {
			return err
		}
	}
}

// attempt tries once, when the gate lets it.
func (e *effort) attempt(ctx context.Context, try func(context.Context) error) error {
	g := e.b.gate
	var err error
	if e.turn, err = g.enter(ctx, e.since.Add(e.b.o.Elapsed)); err != nil {
		return &shutError{err}
	}
	e.inside = true
	e.tries++
	e.total++
	err = try(ctx)
	if !e.inside {
		e.turn.probe = false // that ended when the answer began
	}
	e.inside = false
	switch {
	case err != nil && ctx.Err() != nil:
		g.leave(e.turn, unknown, err)
	case err != nil && temporary(err):
		g.leave(e.turn, failing, err)
	default:
		g.leave(e.turn, alive, nil)
	}
	return err
}

// answers ends the turn of a try before the try ends: the server answers, and what
// is done with the answer may take operations of its own.
func (e *effort) answers() {
	if e.inside {
		e.inside = false
		e.b.gate.leave(e.turn, alive, nil)
	}
}

// shutError is why the gate let nobody through.
type shutError struct{ error }

func (s *shutError) Unwrap() error { return s.error }

// progressed forgets the tries and the time that were needed until something was
// achieved.
func (e *effort) progressed() { e.tries, e.since = 0, e.b.o.Clock.Now() }

// pause waits before the next try, and returns nil; or it returns why there is
// none.
func (e *effort) pause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return e.ended(ctx, err)
	}
	if shut, ok := errors.AsType[*shutError](err); ok {
		return e.gaveUp(shut.error, "the storage has not answered for a while")
	}
	switch {
	case errors.Is(err, backend.ErrDamaged):
		if e.damaged++; e.damaged >= damagedTries {
			return e.gaveUp(err, "")
		}
	case !temporary(err):
		return err
	}
	wait := max(e.b.jitter(max(e.tries, 1)), after(err))
	now := e.b.o.Clock.Now()
	switch {
	case e.b.gate.dead(now):
		return e.gaveUp(err, "the storage has not answered for a while")
	case e.tries >= e.b.o.Attempts, now.Add(wait).After(e.since.Add(e.b.o.Elapsed)):
		return e.gaveUp(err, "")
	}
	e.b.o.Observe(e.op, err, wait)
	if e.b.o.Clock.Sleep(ctx, wait) != nil {
		return e.ended(ctx, err)
	}
	return nil
}

// ended is the error of an operation whose context ended.
func (e *effort) ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		err = errors.Join(cause, err)
	}
	if named, ok := errors.AsType[*backend.Error](err); ok && named.Object == e.name {
		return err
	}
	return &backend.Error{Op: e.op, Object: e.name, Err: err}
}

// gaveUp is the error of an operation that was tried often enough; why tells more, if
// there is more to tell.
func (e *effort) gaveUp(err error, why string) error {
	failed := &backend.Error{
		Op: e.op, Object: cmp.Or(e.name, e.b.inner.Location()),
		Hint: "look whether the storage " + e.b.inner.Location() + " can be reached and is well; what was stored is kept, and the next run goes on from it",
	}
	if named, ok := err.(*backend.Error); ok && named.Object == failed.Object && named.Err != nil { //nolint:errorlint // the outermost alone
		failed.Op, err = named.Op, named.Err
		if named.Hint != "" {
			failed.Hint = named.Hint
		}
	}
	tries := "1 try"
	if e.total != 1 {
		tries = strconv.Itoa(e.total) + " tries"
	}
	if why != "" {
		why = ", " + why
	}
	took := e.b.o.Clock.Now().Sub(e.begun).Round(time.Millisecond)
	failed.Err = fmt.Errorf("gave up after %s in %v%s: %w", tries, took, why, err)
	return failed
}
