package dispersed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

// unopened stands for a storage that could not be opened: its directory is a file, a secret
// of it cannot be read. All that is asked of it fails, until it can be opened.
type unopened struct {
	place Place
	tell  func(error) // of failures that the storage tries again
	clock clock.Clock

	mu   sync.Mutex
	be   backend.Backend // nil until it is open
	err  error           // why it is not
	next time.Time       // when it is tried again
}

// reopenAfter is how long after a failure to open a storage that is tried again.
const reopenAfter = 30 * time.Second

// openPlaces opens the storages. As many as can be lost may be left out.
func (b *Backend) openPlaces(ctx context.Context, places []Place) error {
	var shut []*unopened
	for i, place := range places {
		m := &member{of: b, index: i}
		b.members = append(b.members, m)
		be, err := place.Open(ctx, m.failing)
		if err != nil {
			u := &unopened{place: place, tell: m.failing, clock: b.clock, err: err, next: b.clock.Now().Add(reopenAfter)}
			shut = append(shut, u)
			be = u
		}
		m.Backend = be
	}
	if len(shut) <= b.n-b.k && ctx.Err() == nil {
		for _, m := range b.members {
			if u, ok := m.Backend.(*unopened); ok {
				b.notify(m.notice(Away, u.err))
			}
		}
		return nil
	}
	var errs []error
	var reasons []string
	for i, m := range b.members {
		if u, ok := m.Backend.(*unopened); ok {
			errs = append(errs, u.err)
			reasons = append(reasons, fmt.Sprintf("storage %d: %v", i+1, u.err))
		} else {
			errs = append(errs, m.Close())
		}
	}
	if err := ended(ctx, opOpen, Scheme); err != nil {
		return err
	}
	return fault.New(opOpen, Scheme, &shutError{strings.Join(reasons, "; "), errors.Join(errs...)},
		fmt.Sprintf("at least %d of the %d storages must be there: mend those that are named", b.k, b.n))
}

// shutError says on one line why too many storages could not be opened.
type shutError struct {
	text string
	all  error
}

func (e *shutError) Error() string { return e.text }

func (e *shutError) Unwrap() error { return e.all }

// open returns the storage, or why it is none yet.
func (u *unopened) open(ctx context.Context) (backend.Backend, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.be != nil {
		return u.be, nil
	}
	if now := u.clock.Now(); !now.Before(u.next) {
		be, err := u.place.Open(ctx, u.tell)
		if err == nil {
			u.be = be
			return be, nil
		}
		u.err, u.next = err, now.Add(reopenAfter)
	}
	return nil, u.err
}

// Put is that of the storage.
func (u *unopened) Put(ctx context.Context, name string, data []byte, o backend.PutOptions) error {
	be, err := u.open(ctx)
	if err != nil {
		return err
	}
	return be.Put(ctx, name, data, o)
}

// Get is that of the storage.
func (u *unopened) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	be, err := u.open(ctx)
	if err != nil {
		return nil, err
	}
	return be.Get(ctx, name, offset, length)
}

// Stat is that of the storage.
func (u *unopened) Stat(ctx context.Context, name string) (backend.Info, error) {
	be, err := u.open(ctx)
	if err != nil {
		return backend.Info{}, err
	}
	return be.Stat(ctx, name)
}

// List is that of the storage.
func (u *unopened) List(ctx context.Context, prefix string, fn func(backend.Info) error) error {
	be, err := u.open(ctx)
	if err != nil {
		return err
	}
	return be.List(ctx, prefix, fn)
}

// Delete is that of the storage.
func (u *unopened) Delete(ctx context.Context, name string) error {
	be, err := u.open(ctx)
	if err != nil {
		return err
	}
	return be.Delete(ctx, name)
}

// Sync is that of the storage.
func (u *unopened) Sync(ctx context.Context, names []string) error {
	be, err := u.open(ctx)
	if err != nil {
		return err
	}
	return be.Sync(ctx, names)
}

// Location is where the storage is.
func (u *unopened) Location() string { return u.place.Location }

// Close closes the storage if it was opened.
func (u *unopened) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.be == nil {
		return nil
	}
	return u.be.Close()
}

// retainer returns the storage's ability.
func (u *unopened) retainer(ctx context.Context) (backend.Retainer, error) {
	be, err := u.open(ctx)
	if err != nil {
		return nil, err
	}
	if r, ok := be.(backend.Retainer); ok {
		return r, nil
	}
	return nil, fault.New("retain", be.Location(), backend.ErrUnsupported, "")
}

// Retain is that of the storage.
func (u *unopened) Retain(ctx context.Context, name string, until time.Time) error {
	r, err := u.retainer(ctx)
	if err != nil {
		return err
	}
	return r.Retain(ctx, name, until)
}

// Retained is that of the storage.
func (u *unopened) Retained(ctx context.Context, name string) (time.Time, error) {
	r, err := u.retainer(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return r.Retained(ctx, name)
}

// RetentionCheck is that of the storage.
func (u *unopened) RetentionCheck(ctx context.Context) error {
	r, err := u.retainer(ctx)
	if err != nil {
		return err
	}
	return r.RetentionCheck(ctx)
}

// Thaw is that of the storage.
func (u *unopened) Thaw(ctx context.Context, names []string, o backend.ThawOptions) (backend.ThawState, error) {
	be, err := u.open(ctx)
	if err != nil {
		return backend.ThawState{}, err
	}
	if t, ok := be.(backend.Thawer); ok {
		return t.Thaw(ctx, names, o)
	}
	return backend.ThawState{}, fault.New("thaw", be.Location(), backend.ErrUnsupported, "")
}
