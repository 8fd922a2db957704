// Package limit wraps backends and holds their use of the network and of the
// storage within limits: bytes a second up and down, requests a second, each by
// time of day and weekday, and how much is under way at once.
//
// Bytes are counted on the wire where the backend is reached over a network, also those
// of requests that failed, and bodies are sent at an even pace; elsewhere the next
// operation waits until the time of the last one's bytes has passed. A listing counts as one
// request for each thousand names.
//
// What is under way is weighed: a body of more than a megabyte as four, all else
// as one, against four times [Options.Concurrency]. So that many transfers may run at once,
// or four times as many small requests, which wait for the server and not for the
// link. Who comes first is served first: small ones do not overtake a large one for ever.
// A body has a place while it is being read, and a listing until its first name. Neither
// has one meanwhile: who copies from one object to another, or asks about each name that
// is listed, would wait for himself.
package limit

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"mahavishnu/clock"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/remote"
)

// Options say what the limits are. The zero value sets none.
type Options struct {
	// Clock is what rates and windows go by; nil for the system's.
	Clock clock.Clock
	// Rates apply outside all windows.
	Rates
	// Windows are times with rates of their own. The first that the time lies in applies.
	Windows []Window
	// Zone is the time zone of the windows; nil for UTC.
	Zone *time.Location
	// Concurrency is how many transfers may be under way at once; 0 for any number.
	Concurrency int
}

// Rates are limits to use over time; 0 sets none.
type Rates struct {
	// Up and Down are bytes a second that are written and read.
	Up, Down int64
	// Requests is requests a second.
	Requests int
}

// Window is a time of day.
type Window struct {
	// Days are the weekdays on which it begins; none for every day.
	Days []time.Weekday
	// From and To are times since midnight. A window whose end is not after its
	// beginning ends on the next day.
	From, To time.Duration
	Rates
}

// heavy is from how many bytes on a transfer weighs as much as transferWeight
// small requests.
const (
	heavy          = 1 << 20
	transferWeight = 4
)

// Limits hold whatever is wrapped with them to the same rates, taken together: one
// is made for a machine's storage, and not one for each time that it is opened.
type Limits struct {
	none               bool
	up, down, requests *bucket
	places             *semaphore.Weighted // nil for any number
}

// New returns the limits of the options.
func New(o Options) *Limits {
	o.Clock = clock.Or(o.Clock)
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	l := &Limits{
		none:     o.none(),
		up:       newBucket(o, func(r Rates) float64 { return float64(r.Up) }),
		down:     newBucket(o, func(r Rates) float64 { return float64(r.Down) }),
		requests: newBucket(o, func(r Rates) float64 { return float64(r.Requests) }),
	}
	if o.Concurrency > 0 {
		l.places = semaphore.NewWeighted(int64(o.Concurrency) * transferWeight)
	}
	return l
}

// none tells whether the options set no limit at all.
func (o Options) none() bool {
	none := o.Rates == Rates{} && o.Concurrency <= 0
	for _, w := range o.Windows {
		none = none && w.Rates == Rates{}
	}
	return none
}

// Wrap returns inner within the limits, with the abilities that it has; inner itself
// when there are no limits, or l is nil.
func (l *Limits) Wrap(inner backend.Backend) backend.Backend { return l.wrap(inner, false) }

// WrapWhole is Wrap for storage that takes objects at once, such as a directory: there is
// no connection on which the bytes could be held back one after the other, so an
// object waits until all before it are paid for, however many are put together.
func (l *Limits) WrapWhole(inner backend.Backend) backend.Backend { return l.wrap(inner, true) }

func (l *Limits) wrap(inner backend.Backend, whole bool) backend.Backend {
	if l == nil || l.none {
		return inner
	}
	b := &Backend{limits: l, inner: inner, whole: whole}
	var r backend.Retainer
	if keeps, ok := inner.(backend.Retainer); ok {
		r = &retainer{b, keeps}
	}
	var t backend.Thawer
	if thaws, ok := inner.(backend.Thawer); ok {
		t = &thawer{b, thaws}
	}
	return backend.WithAbilities(b, r, t)
}

// Backend is a backend with limits.
type Backend struct {
	limits *Limits
	inner  backend.Backend
	whole  bool // objects are put at once
}

// begin waits until a request that moves so many bytes may be made; -1 when that is not
// known. done gives its place back, and may be called more than once.
func (b *Backend) begin(ctx context.Context, op, name string, bytes int64) (done func(), err error) {
	weight := weigh(bytes)
	if !b.limits.enter(ctx, weight) {
		return nil, ended(ctx, op, name)
	}
	done = sync.OnceFunc(func() { b.limits.leave(weight) })
	if b.limits.requests.take(ctx, 1) != nil {
		done()
		return nil, ended(ctx, op, name)
	}
	return done, nil
}

// weigh returns how much of the places a request takes that moves so many bytes.
func weigh(bytes int64) int64 {
	if bytes < 0 || bytes > heavy {
		return transferWeight
	}
	return 1
}

// enter waits for a place; false when ctx ends first.
func (l *Limits) enter(ctx context.Context, weight int64) bool {
	return l.places == nil || l.places.Acquire(ctx, weight) == nil
}

func (l *Limits) leave(weight int64) {
	if l.places != nil {
		l.places.Release(weight)
	}
}

func ended(ctx context.Context, op, name string) error {
	return &backend.Error{Op: op, Object: name, Err: context.Cause(ctx)}
}

// do makes a small request.
func (b *Backend) do(ctx context.Context, op, name string, request func() error) error {
	done, err := b.begin(ctx, op, name, 0)
	if err != nil {
		return err
	}
	defer done()
	return request()
}

// pace counts what is sent, as it is sent.
type pace struct {
	bucket *bucket
	sent   atomic.Int64
}

func (p *pace) Pace(ctx context.Context, n int) error {
	p.sent.Add(int64(n))
	return p.bucket.take(ctx, float64(n))
}

// Unwrap implements [backend.Unwrapper].
func (b *Backend) Unwrap() backend.Backend { return b.inner }

// Put stores an object at the pace of the limit.
func (b *Backend) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	done, err := b.begin(ctx, "put", name, int64(len(data)))
	if err != nil {
		return err
	}
	defer done()
	ahead := int64(0)
	if b.whole {
		ahead = int64(len(data))
	}
	if b.limits.up.take(ctx, float64(ahead)) != nil {
		return ended(ctx, "put", name)
	}
	if b.whole {
		return b.inner.Put(ctx, name, data, o)
	}
	p := &pace{bucket: b.limits.up}
	err = b.inner.Put(remote.WithPace(ctx, p), name, data, o)
	if sent := p.sent.Load(); err == nil && sent < int64(len(data)) {
		b.limits.up.owe(float64(int64(len(data)) - sent))
	}
	return err
}

// Get opens a range of an object, which is read at the pace of the limit.
func (b *Backend) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	done, err := b.begin(ctx, "get", name, length)
	if err != nil {
		return nil, err
	}
	defer done()
	body, err := b.inner.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	return b.slowly(ctx, name, body, weigh(length)), nil
}

// Stat describes an object.
func (b *Backend) Stat(ctx context.Context, name string) (info backend.Info, err error) {
	err = b.do(ctx, "stat", name, func() error {
		info, err = b.inner.Stat(ctx, name)
		return err
	})
	return info, err
}

// List lists objects.
func (b *Backend) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	done, err := b.begin(ctx, "list", prefix, 0)
	if err != nil {
		return err
	}
	defer done()
	names := 0
	return b.inner.List(ctx, prefix, func(i backend.Info) error {
		done()
		if names++; names%1000 == 0 && b.limits.requests.take(ctx, 1) != nil {
			return ended(ctx, "list", prefix)
		}
		return fn(i)
	})
}

// Delete removes an object.
func (b *Backend) Delete(ctx context.Context, name string) error {
	return b.do(ctx, "delete", name, func() error { return b.inner.Delete(ctx, name) })
}

// Sync makes objects durable.
func (b *Backend) Sync(ctx context.Context, names []string) error {
	first := ""
	if len(names) > 0 {
		first = names[0]
	}
	return b.do(ctx, "sync", first, func() error { return b.inner.Sync(ctx, names) })
}

// Location is that of the wrapped backend.
func (b *Backend) Location() string { return b.inner.Location() }

// Close closes the wrapped backend.
func (b *Backend) Close() error { return b.inner.Close() }
