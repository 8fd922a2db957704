// Package faults wraps a backend and breaks it on purpose, by a script:
//
//	f := faults.Wrap(be)
//	f.On(faults.Put).Under("packs/").After(3).Fail(io.ErrShortWrite)
//	f.On(faults.Get).Under("index/").Times(2).Fail(errTimeout)
//	f.On(faults.Put).Lose(errReset)          // done, and the answer is lost
//	f.On(faults.Get).Break(1000, errReset)   // in the middle of the body
//	f.StopAt(17)                // the 17th change and all that follows fail
//	f.PowerCut(faults.LoseAll)  // what was not synced is gone
//
// Rules are tried in the order they were made; the first that applies decides.
// Tests then check the same promises after every fault: what was confirmed is
// there, and the next run goes on from it.
package faults

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"mahavishnu/storage"
)

// ErrStopped is what every operation returns after StopAt has struck.
var ErrStopped = errors.New("the process was stopped here")

// Op is an operation of a backend.
type Op string

// The operations.
const (
	Put    Op = "put"
	Get    Op = "get"
	Stat   Op = "stat"
	List   Op = "list"
	Delete Op = "delete"
	Sync   Op = "sync"
)

// Backend is a backend with faults.
type Backend struct {
	inner storage.Backend

	mu       sync.Mutex
	rules    []*Rule
	changes  int // puts, deletes and syncs so far
	stopAt   int // the change that fails first; 0 for none
	stopped  bool
	unsynced map[string]before
	order    []string // of unsynced, by first change

	changing sync.RWMutex // held for reading while an object is changed
	cut      bool         // the power went; guarded by changing
}

// before is what an object was before changes that are not durable yet.
type before struct {
	existed bool
	data    []byte
}

var _ storage.Backend = (*Backend)(nil)

// Wrap returns inner with no faults yet.
func Wrap(inner storage.Backend) *Backend {
	return &Backend{inner: inner, unsynced: map[string]before{}}
}

// Rule is one line of the script.
type Rule struct {
	op     Op
	prefix string
	skip   int
	left   int // how often it still applies; negative is for ever
	err    error
	hook   func(name string)
	midway midway
}

// On starts a rule about an operation. Without Times it applies once.
func (f *Backend) On(op Op) *Rule {
	r := &Rule{op: op, left: 1}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
	return r
}

// Under limits the rule to names with the prefix.
func (r *Rule) Under(prefix string) *Rule { r.prefix = prefix; return r }

// After lets n matching operations pass first.
func (r *Rule) After(n int) *Rule { r.skip = n; return r }

// Times makes the rule apply n times; negative is for ever.
func (r *Rule) Times(n int) *Rule { r.left = n; return r }

// Fail makes the operation fail with err before it does anything.
func (r *Rule) Fail(err error) *Rule { r.err = err; return r }

// Do calls fn with the object's name before the operation (and before it
// fails, if it does). fn may block.
func (r *Rule) Do(fn func(name string)) *Rule { r.hook = fn; return r }

// StopAt stops the process at the n-th change from now (put, delete or sync,
// counted from 1): that change and every operation after it fail with ErrStopped
// and have no effect. What was changed before and not synced is decided by
// PowerCut; without one it stays.
func (f *Backend) StopAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopAt = f.changes + n
}

// Changes returns how many puts, deletes and syncs there were.
func (f *Backend) Changes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

// Stopped tells whether StopAt has struck.
func (f *Backend) Stopped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stopped
}

// step decides about an operation that is about to begin: it fails, or is done with
// what else the rule that it returns may do to it.
func (f *Backend) step(op Op, name string, change bool) (midway, error) {
	f.mu.Lock()
	if change && !f.stopped {
		f.changes++
		if f.stopAt > 0 && f.changes >= f.stopAt {
			f.stopped = true
		}
	}
	if f.stopped {
		f.mu.Unlock()
		return midway{}, &storage.Error{Op: string(op), Object: name, Err: ErrStopped}
	}
	rule := f.match(op, name)
	f.mu.Unlock()
	if rule == nil {
		return midway{}, nil
	}
	if rule.hook != nil {
		rule.hook(name)
	}
	if rule.err != nil {
		return midway{}, &storage.Error{Op: string(op), Object: name, Err: rule.err}
	}
	return rule.midway, nil
}

// change begins a change of the wrapped backend, for which a power cut waits: one
// that programs in the background began counts, or never happens.
func (f *Backend) change(op Op, name string) (done func(), err error) {
	f.changing.RLock()
	if f.cut {
		f.changing.RUnlock()
		return nil, &storage.Error{Op: string(op), Object: name, Err: ErrStopped}
	}
	return f.changing.RUnlock, nil
}

func (f *Backend) match(op Op, name string) *Rule {
	for _, r := range f.rules {
		if r.op != op || r.left == 0 || !strings.HasPrefix(name, r.prefix) {
			continue
		}
		if r.skip > 0 {
			r.skip--
			continue
		}
		if r.left > 0 {
			r.left--
		}
		return r
	}
	return nil
}

// Put stores an object unless the script says otherwise.
func (f *Backend) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	m, err := f.step(Put, name, true)
	if err != nil {
		return err
	}
	done, err := f.change(Put, name)
	if err != nil {
		return err
	}
	defer done()
	first, err := f.remember(ctx, name)
	if err != nil {
		return err
	}
	if err := f.inner.Put(ctx, name, data, o); err != nil {
		if first {
			f.forget(name) // refused: what is there is not this put's
		}
		return err
	}
	if o.Sync {
		f.forget(name)
	}
	return m.lost(Put, name)
}

// Delete removes an object unless the script says otherwise.
func (f *Backend) Delete(ctx context.Context, name string) error {
	m, err := f.step(Delete, name, true)
	if err != nil {
		return err
	}
	done, err := f.change(Delete, name)
	if err != nil {
		return err
	}
	defer done()
	if err := f.inner.Delete(ctx, name); err != nil {
		return err
	}
	f.forget(name) // a deletion is durable at once
	return m.lost(Delete, name)
}

// Sync makes objects durable unless the script says otherwise.
func (f *Backend) Sync(ctx context.Context, names []string) error {
	first := ""
	if len(names) > 0 {
		first = names[0]
	}
	m, err := f.step(Sync, first, true)
	if err != nil {
		return err
	}
	done, err := f.change(Sync, first)
	if err != nil {
		return err
	}
	defer done()
	if err := f.inner.Sync(ctx, names); err != nil {
		return err
	}
	f.forget(names...)
	return m.lost(Sync, first)
}

// Get reads an object unless the script says otherwise.
func (f *Backend) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	m, err := f.step(Get, name, false)
	if err != nil {
		return nil, err
	}
	body, err := f.inner.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	return m.body(name, body), nil
}

// Stat describes an object unless the script says otherwise.
func (f *Backend) Stat(ctx context.Context, name string) (storage.Info, error) {
	if _, err := f.step(Stat, name, false); err != nil {
		return storage.Info{}, err
	}
	return f.inner.Stat(ctx, name)
}

// List lists objects unless the script says otherwise.
func (f *Backend) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	m, err := f.step(List, prefix, false)
	if err != nil {
		return err
	}
	return f.inner.List(ctx, prefix, m.names(prefix, fn))
}

// Location is that of the wrapped backend.
func (f *Backend) Location() string { return f.inner.Location() }

// Close closes the wrapped backend.
func (f *Backend) Close() error { return f.inner.Close() }
