package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"mahavishnu/storage"
)

var (
	// ErrUnreadable means that the storage could not read an object: a bad
	// sector, a request that timed out. Its bytes may be as they were written.
	ErrUnreadable = errors.New("the storage cannot read it")
	// ErrUnreachable means that the storage as a whole does not answer or denies, or
	// could read none of many packs in a row. Nothing can be said of what it holds.
	ErrUnreachable = errors.New("the storage is out of reach")
)

// patience is how many packs in a row the storage may fail to read before it is
// taken to be out of reach. Packs are read in the order of their random ids,
// so the bad part of a disk hardly ever looks like that.
const patience = 16

// readCause says of a failed read whether the object is missing, its bytes are
// not those that were written, or the storage could not read it.
func readCause(ctx context.Context, err error) error {
	err = damage(err)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrDamaged) || errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return &unreadableError{err}
}

// unreadableError is what the storage said when it could not read an object.
type unreadableError struct{ error }

func (u *unreadableError) Error() string   { return ErrUnreadable.Error() + ": " + u.error.Error() }
func (u *unreadableError) Unwrap() []error { return []error{ErrUnreadable, u.error} }

// outOfReach says of what readCause took for one unreadable object that it is the
// storage as a whole: nothing is known of what is stored, so nothing is damaged.
func outOfReach(err error) error {
	if one, ok := errors.AsType[*unreadableError](err); ok {
		err = one.error
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// readPack reads from a pack.
func (r *Repository) readPack(ctx context.Context, id PackID, offset int64, buf []byte) error {
	return r.reach.heard(ctx, id, storage.ReadRange(ctx, r.be, id.Object(), offset, buf))
}

// reach tells a pack that cannot be read from a storage that is out of reach.
type reach struct {
	failing atomic.Int32
	mu      sync.Mutex
	packs   map[PackID]bool // that could not be read since one could
}

// heard notes how reading a pack went, and returns its error as readCause does,
// or as ErrUnreachable when there were too many in a row.
func (x *reach) heard(ctx context.Context, id PackID, err error) error {
	if ctx.Err() != nil {
		return err // tells nothing of the storage
	}
	if errors.Is(err, storage.ErrArchived) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err) // as all others like it
	}
	cause := readCause(ctx, err)
	bad := errors.Is(cause, ErrUnreadable)
	if !bad && x.failing.Load() == 0 {
		return cause // nearly always
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case !bad:
		clear(x.packs)
	case x.packs == nil:
		x.packs = map[PackID]bool{id: true}
	default:
		x.packs[id] = true
	}
	n := len(x.packs)
	x.failing.Store(int32(n))
	if n < patience {
		return cause
	}
	return fmt.Errorf("%w: %d packs in a row could not be read: %w", ErrUnreachable, n, err)
}
