package dispersed

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/remote"
)

// A storage that cannot be reached is put aside: as long as the others are enough it is
// asked for nothing, so that nobody waits for it, nor for the retries of each request. It
// is tried from time to time, behind what is going on.
const (
	// strikes is how many tries in a row without an answer put a storage aside. One
	// is enough where no connection can be made.
	strikes = 3
	// firstProbe is how long after that it is tried, longestProbe how long at most
	// after further ones: the time doubles.
	firstProbe   = time.Second
	longestProbe = 30 * time.Second
)

// errLate is the cause with which requests end that kept everybody waiting while enough
// other storages had answered.
var errLate = errors.New("no answer in time")

// asideError is why a storage is asked for nothing.
type asideError struct{ err error }

func (e *asideError) Error() string {
	return "it cannot be reached, and is left out for now: " + e.err.Error()
}

func (e *asideError) Unwrap() error { return e.err }

// reach is what is known of whether a storage can be reached.
type reach struct {
	mu      sync.Mutex
	row     int           // tries without an answer since the last that had one
	aside   error         // why the storage is put aside; nil: it is not
	next    time.Time     // when it is tried again
	wait    time.Duration // from one such try to the next
	probing bool
	calls   map[*call]struct{}
}

// call is a request under way. It ends when its storage is put aside.
type call struct {
	change bool // it needs a quorum, not only k storages
	probe  bool
	cancel context.CancelCauseFunc
}

// unconnected tells whether no connection could be made: there is no doubt then that
// the next request will not do better.
func unconnected(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
}

// unanswered tells whether an error says that there was no answer, or none of use.
func unanswered(err error) bool {
	return remote.Temporary(err) || unconnected(err) || errors.Is(err, errLate)
}

// spares tells whether the storages that are put aside can be done without: else they
// are asked, with all the patience that their retries have. So a short failure of
// everything is waited for, as it is with one storage.
func (b *Backend) spares(change bool) bool {
	if b.aside.Load() == 0 {
		return true
	}
	most := b.n - b.k
	if change {
		most = b.n - b.quorum
	}
	out := 0
	for _, m := range b.members {
		m.reach.mu.Lock()
		aside := m.reach.aside != nil
		m.reach.mu.Unlock()
		if aside || m.refused() != nil {
			out++
		}
	}
	return out <= most
}

// request makes a request to the storage, unless it is put aside.
func (m *member) request(ctx context.Context, change bool, fn func(context.Context) error) error {
	ctx, end, err := m.begin(ctx, change)
	if err != nil {
		return err
	}
	return end(fn(ctx))
}

// begin begins a request, which goes on until end is called with how it came out. end
// returns the error to give for it.
func (m *member) begin(ctx context.Context, change bool) (inner context.Context, end func(error) error, err error) {
	spared := m.of.spares(change)
	r := &m.reach
	r.mu.Lock()
	if why := r.aside; why != nil && spared {
		due := !r.probing && !m.of.clock.Now().Before(r.next)
		r.probing = r.probing || due
		r.mu.Unlock()
		if due {
			m.of.running.Go(m.probe)
		}
		return nil, nil, &asideError{why}
	}
	inner, c := m.enter(ctx, &call{change: change})
	r.mu.Unlock()
	return inner, func(err error) error { return m.leave(ctx, inner, c, err) }, nil
}

// enter notes a request; the caller holds reach.mu.
func (m *member) enter(ctx context.Context, c *call) (context.Context, *call) {
	ctx, c.cancel = context.WithCancelCause(ctx)
	if m.reach.calls == nil {
		m.reach.calls = map[*call]struct{}{}
	}
	m.reach.calls[c] = struct{}{}
	return ctx, c
}

// leave learns from how a request came out, and returns the error to give for it.
func (m *member) leave(outer, inner context.Context, c *call, err error) error {
	r := &m.reach
	r.mu.Lock()
	delete(r.calls, c)
	r.mu.Unlock()
	cause := context.Cause(inner)
	c.cancel(nil)
	if err == nil {
		m.answers()
		return nil
	}
	var aside *asideError
	switch {
	case outer.Err() == nil && errors.As(cause, &aside):
		return aside
	case errors.Is(context.Cause(outer), errLate):
		m.failing(errLate)
	case outer.Err() != nil: // the caller gave up: that says nothing of the storage
	case unanswered(err):
		m.failing(err)
	default:
		m.answers()
	}
	return err
}

// failing is told of every try of a request that had no answer; a storage's own retries
// tell of those that they try again.
func (m *member) failing(err error) {
	if !unanswered(err) {
		return
	}
	b, r := m.of, &m.reach
	r.mu.Lock()
	r.row++
	if r.aside == nil && r.row < strikes && !unconnected(err) {
		r.mu.Unlock()
		return
	}
	fresh := r.aside == nil
	if r.aside = err; fresh {
		r.wait = firstProbe
		r.next = b.clock.Now().Add(r.wait)
		b.aside.Add(1)
	}
	r.mu.Unlock()
	// Those that can be done without end now; the rest go on with their retries.
	reads, changes := b.spares(false), b.spares(true)
	r.mu.Lock()
	for c := range r.calls {
		if c.probe || c.change && changes || !c.change && reads {
			c.cancel(&asideError{err})
		}
	}
	r.mu.Unlock()
	if fresh {
		b.notify(m.notice(Away, err))
	}
}

// answers notes that the storage answered, whatever it was.
func (m *member) answers() {
	r := &m.reach
	r.mu.Lock()
	r.row = 0
	back := r.aside != nil
	r.aside = nil
	r.mu.Unlock()
	if !back {
		return
	}
	m.of.aside.Add(-1)
	m.of.history.expire()
	m.figures.recovered()
	m.mu.Lock()
	m.checked = time.Time{} // another disk may have been put in its place
	m.mu.Unlock()
	m.of.notify(m.notice("", nil))
}

// probe tries whether a storage that is put aside answers again.
func (m *member) probe() {
	b, r := m.of, &m.reach
	r.mu.Lock()
	ctx, c := m.enter(b.probes, &call{probe: true})
	r.mu.Unlock()
	_, err := m.readRecord(ctx)
	if errors.Is(err, backend.ErrNotFound) {
		err = nil
	}
	_ = m.leave(b.probes, ctx, c, err) // which is told, and asked again later
	r.mu.Lock()
	r.probing = false
	r.wait = min(2*r.wait, longestProbe)
	r.next = b.clock.Now().Add(r.wait)
	r.mu.Unlock()
}

// body is what is being read of a storage.
type body struct {
	io.ReadCloser
	end func(error) error
}

// Read learns from how reading fails.
func (r *body) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && r.end != nil {
		err = r.end(err)
		r.end = nil
	}
	return n, err
}

// Close ends the request.
func (r *body) Close() error {
	err := r.ReadCloser.Close()
	if r.end != nil {
		err = r.end(err)
		r.end = nil
	}
	return err
}
