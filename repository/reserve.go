package repository

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"mahavishnu/fault"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

// reserveName is an object that says nothing and takes room, so that what makes
// room in a full storage (forgetting, collecting garbage) finds some for what it must
// write before it may delete: sessions, marks, condemned lists, parts of the index.
const reserveName = "gc/reserve"

// The sizes of the reserve in bytes: what it should have, and what it has at least
// where there is less room.
const (
	reserveSize = 2 << 20
	reserveMin  = 128 << 10
)

// RoomError says that the storage is full, and for what. It wraps
// storage.ErrFull.
type RoomError struct {
	// Object found no room, of Size bytes.
	Object string
	Size   int64
	Err    error

	writer bool // not of those who make room
}

// Error is the storage's.
func (e *RoomError) Error() string { return e.Err.Error() }

// Unwrap returns the storage's error.
func (e *RoomError) Unwrap() error { return e.Err }

// FaultHint says how much room is needed, or who makes room.
func (e *RoomError) FaultHint() string {
	if e.writer {
		return "make room with `mahavishnu forget` and `mahavishnu prune`, for which some is kept in reserve; nothing was lost, and the next run goes on"
	}
	return fmt.Sprintf("free %s or more where the storage is, for %s; nothing was lost, and the next run goes on", terminal.Bytes(max(e.Size, 4<<10)), e.Object)
}

// spending marks a context under which what is put may take the room of the
// reserve.
type spending struct{}

func spend(ctx context.Context) context.Context { return context.WithValue(ctx, spending{}, true) }

// roomy is a storage that gives the reserve up to those who may take it, when
// there is no other room.
type roomy struct {
	storage.Backend
	keep   bool // there is to be one
	gaveUp atomic.Bool
	mu     sync.Mutex // held while the reserve is given up or put back
}

// Put implements storage.Backend.
func (b *roomy) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	put, writer := b.Backend.Put, ctx.Value(spending{}) == nil
	if !writer {
		put = b.spend
	}
	err := put(ctx, name, data, o)
	if errors.Is(err, storage.ErrFull) {
		err = &RoomError{Object: name, Size: int64(len(data)), Err: err, writer: writer}
	}
	return err
}

// spend puts for those who may take the reserve. Packs and their parity may not:
// what has to be there before anything can be deleted is small, and they would take
// all of it. So where it was given up they come after it was put back.
func (b *roomy) spend(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	large := strings.HasPrefix(name, packPrefix) || strings.HasPrefix(name, parity.Prefix) && !strings.HasPrefix(name, parity.StripePrefix)
	if large && b.gaveUp.Load() {
		if err := b.fill(ctx); err != nil {
			return err
		}
	}
	err := b.Backend.Put(ctx, name, data, o)
	if large || !b.keep || !errors.Is(err, storage.ErrFull) {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gaveUp.Store(true)
	if deleteErr := b.Delete(ctx, reserveName); deleteErr != nil {
		return errors.Join(err, deleteErr)
	}
	return b.Backend.Put(ctx, name, data, o)
}

// fill puts the reserve where there is none, or less than there is room for. The
// error is ErrFull when there is no room for the least.
func (b *roomy) fill(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	there, err := b.Stat(ctx, reserveName)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if there.Size >= reserveSize {
		b.gaveUp.Store(false)
		return nil
	}
	// Random, so that a file system that compresses cannot do with less.
	data := make([]byte, reserveSize)
	_, _ = rand.Read(data) // never fails: it ends the program instead
	for size := int64(reserveSize); size >= reserveMin && size > there.Size; size /= 2 {
		err = b.Backend.Put(ctx, reserveName, data[:size], storage.PutOptions{Sync: true})
		if err == nil {
			b.gaveUp.Store(false)
			return nil
		}
		if !errors.Is(err, storage.ErrFull) {
			return fault.New("keep room in reserve", reserveName, err, "")
		}
	}
	if there.Size < reserveMin {
		return err
	}
	b.gaveUp.Store(false)
	return nil
}

// KeepReserve puts the reserve where the storage can run out of room and there is
// none, or less than there is room for. That there is no room is no error.
func (r *Repository) KeepReserve(ctx context.Context) error {
	if !r.room.keep {
		return nil
	}
	if err := r.room.fill(ctx); !errors.Is(err, storage.ErrFull) {
		return err
	}
	return nil
}

// refill puts the reserve back if this program gave it up.
func (r *Repository) refill(ctx context.Context) error {
	if !r.room.gaveUp.Load() {
		return nil
	}
	return r.KeepReserve(ctx)
}

// RoomFor returns how many bytes must be free for copying stored bytes of blobs to
// new packs: with their parity, which is not shared before stripes are joined, and
// what the index says of them.
func (r *Repository) RoomFor(stored int64) int64 {
	n := stored + stored/64 + 64<<10
	if p := r.cfg.Parity; p.Shards > 0 {
		n += stored*int64(p.Shards)/int64(p.Data) + int64(p.Shards)*4<<10
	}
	if r.cfg.Parity.Stripe > 0 {
		n += stored
	}
	return n
}
