// Package retry wraps a backend and tries again what failed for a passing reason.
// It is the one place that does: clients of object stores have their own retries
// switched off.
//
// What is tried again: an [backend.TemporaryError] and failures of the network; and a few
// times a transfer whose checksum did not match. What the storage has decided (no such object,
// access denied, full) is returned at once. Waits grow exponentially with
// full jitter, and are at least what the server asked for.
//
// Three things need more than repeating:
//
//   - A conditional put whose answer was lost finds its own object in the way when it
//     is made again. The bytes are compared then; equal ones are its success.
//     Where it matters who of several won, what they put must therefore differ.
//   - A body that breaks in the middle goes on where it stopped, if the backend can say
//     that the object is still the same ([backend.Resumer]); else it is read again from the start,
//     and what was handed out already is compared.
//   - A listing that breaks goes on after the last name that was handed out, as long as
//     names come in ascending order, which they do from every object store. One that
//     does not keep to it is not repeated.
//
// All operations on one backend share a gate. Once several in a row have failed, one
// tries for all and the others wait for how it fares; after [Options.Dead] without any
// answer each operation still tries once and gives up. A dead server costs as many
// requests as there are operations, and a little more, not many times that.
package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"mahavishnu/clock"
	"mahavishnu/storage/backend"
)

// Options say how much is done before giving up. Zero values stand for the
// defaults.
type Options struct {
	// Clock is what waits go by; nil for the system's.
	Clock clock.Clock
	// Attempts is how often one operation is tried at most. Reading a body and listing
	// count anew whenever something has arrived, time as well. Default 8.
	Attempts int
	// First is the longest wait before the second try; it doubles with each. Default 200 ms.
	First time.Duration
	// Longest is what no wait exceeds, unless the server asks for it. Default 20 s.
	Longest time.Duration
	// Elapsed is after how long no operation is tried again. Default 5 min.
	Elapsed time.Duration
	// Dead is for how long a server may fail, all operations taken together, until
	// nothing is tried again before it has answered. Default 2 min.
	Dead time.Duration
	// Random returns numbers from 0 to 1 for the jitter; nil for the usual.
	Random func() float64
	// Observe, when set, is told of every failure that is tried again, and of
	// the wait before. op is the operation: put, get, stat, list, delete, sync.
	Observe func(op string, err error, wait time.Duration)
}

func (o Options) withDefaults() Options {
	o.Clock = clock.Or(o.Clock)
	orElse(&o.Attempts, 8)
	orElse(&o.First, 200*time.Millisecond)
	orElse(&o.Longest, 20*time.Second)
	orElse(&o.Elapsed, 5*time.Minute)
	orElse(&o.Dead, 2*time.Minute)
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Observe == nil {
		o.Observe = func(string, error, time.Duration) {}
	}
	return o
}

func orElse[T int | time.Duration](v *T, usual T) {
	if *v <= 0 {
		*v = usual
	}
}

// Backend is a backend that tries again.
type Backend struct {
	inner backend.Backend
	o     Options
	gate  *gate
}

// Wrap returns inner with retries, and with the abilities that it has.
func Wrap(inner backend.Backend, o Options) backend.Backend {
	b := &Backend{inner: inner, o: o.withDefaults()}
	b.gate = newGate(b.o.Clock, b.o.Dead, b.jitter)
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

// jitter returns the wait before the n-th repetition, counted from 1.
func (b *Backend) jitter(n int) time.Duration {
	most := b.o.Longest
	if n < 30 {
		most = min(most, b.o.First<<(n-1))
	}
	return time.Duration(b.o.Random() * float64(most))
}

// Unwrap implements [backend.Unwrapper].
func (b *Backend) Unwrap() backend.Backend { return b.inner }

// Put stores an object; see the package comment on conditional ones.
func (b *Backend) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	unsure := false
	return b.do(ctx, "put", name, func(ctx context.Context) error {
		err := b.inner.Put(ctx, name, data, o)
		if unsure && o.IfAbsent && errors.Is(err, backend.ErrExists) {
			return b.settle(ctx, name, data, err)
		}
		unsure = unsure || err != nil
		return err
	})
}

// Stat describes an object.
func (b *Backend) Stat(ctx context.Context, name string) (info backend.Info, err error) {
	err = b.do(ctx, "stat", name, func(ctx context.Context) error {
		info, err = b.inner.Stat(ctx, name)
		return err
	})
	return info, err
}

// Delete removes an object.
func (b *Backend) Delete(ctx context.Context, name string) error {
	return b.do(ctx, "delete", name, func(ctx context.Context) error { return b.inner.Delete(ctx, name) })
}

// Sync makes objects durable.
func (b *Backend) Sync(ctx context.Context, names []string) error {
	first := ""
	if len(names) > 0 {
		first = names[0]
	}
	return b.do(ctx, "sync", first, func(ctx context.Context) error { return b.inner.Sync(ctx, names) })
}

// Location is that of the wrapped backend.
func (b *Backend) Location() string { return b.inner.Location() }

// Close closes the wrapped backend.
func (b *Backend) Close() error { return b.inner.Close() }
