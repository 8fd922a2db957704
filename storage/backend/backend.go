// Package backend is the contract between the program and a place that keeps
// objects: the interface, its errors and the rules for names.
//
// The rest of the program spells these names through package storage, which
// re-exports them; only the implementations below storage/ import this one.
//
// An object is a name and bytes. It is written whole, never changed in place,
// and read in ranges. A backend knows nothing of what the bytes mean.
package backend

import (
	"context"
	"errors"
	"io"
	"time"

	"mahavishnu/fault"
)

// Errors a caller may decide on. They come wrapped in an [Error].
var (
	// ErrNotFound means there is no object of that name.
	ErrNotFound = errors.New("no such object")
	// ErrExists means a conditional put found the name taken.
	ErrExists = errors.New("object exists already")
	// ErrShort means the range asked for does not lie wholly inside the
	// object: it was truncated, or the caller's idea of its size is wrong.
	ErrShort = errors.New("object is shorter than the range asked for")
	// ErrReadOnly means that the storage refuses writes.
	ErrReadOnly = errors.New("storage is read-only")
	// ErrFull means that the storage has no room left.
	ErrFull = errors.New("storage is full")
	// ErrBadName means that the name breaks the rules of [CheckName].
	ErrBadName = errors.New("not a valid object name")
)

// Error is an operation that failed on an object, with a hint what to do.
type Error = fault.Error

// Backend keeps objects. All methods are safe for concurrent use, return when
// ctx ends (though an operation may have taken effect by then), and return
// errors that name the operation and the object.
type Backend interface {
	// Put stores data under name. The object becomes visible whole or not at
	// all, also when the process dies half-way; an older object of the name is
	// replaced, unless o.IfAbsent. Put does not keep data after it returns and
	// may be repeated. What it stored is durable only after Sync, or at once
	// with o.Sync.
	Put(ctx context.Context, name string, data []byte, o PutOptions) error

	// Get reads length bytes from offset; a length of -1 reads to the end. A
	// range that is not wholly inside the object fails with ErrShort, from Get
	// or from Read, never with a short read that looks like success.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)

	// Stat returns what is known of one object without reading it.
	Stat(ctx context.Context, name string) (Info, error)

	// List calls fn for every object whose name starts with prefix, in no
	// particular order. The prefix is "" or a path ending in '/'. An error
	// from fn ends the listing and is returned as it is. Objects put or
	// deleted meanwhile may or may not appear; all others appear once.
	List(ctx context.Context, prefix string, fn func(Info) error) error

	// Delete removes an object, durably: it does not come back with the loss of
	// power. A missing one is not an error.
	Delete(ctx context.Context, name string) error

	// Sync returns when the named objects are durable, whoever put them: they
	// survive the loss of power. A missing one is ErrNotFound.
	Sync(ctx context.Context, names []string) error

	// Location says where the objects are, for people; it holds no secret.
	Location() string

	// Close lets go of what the backend holds. Objects stay.
	Close() error
}

// PutOptions says how an object is stored. The zero value replaces what is
// there and leaves durability to Sync.
type PutOptions struct {
	// IfAbsent makes the put fail with ErrExists when the name is taken. Of
	// many concurrent conditional puts of one name exactly one succeeds.
	IfAbsent bool
	// Sync makes the object durable before Put returns. Its bytes are durable
	// before its name is visible, so that even the loss of power shows the
	// whole object or none: commit points are put this way.
	Sync bool
	// RetainUntil keeps the object from being deleted or replaced until then, by
	// anybody. Zero: no retention. A backend that is no [Retainer], or has it switched off,
	// fails with ErrUnsupported instead of storing without it.
	RetainUntil time.Time
	// Cold says that the object will hardly ever be read: a backend with a storage
	// class or tier for such objects puts it there. Others take no notice.
	Cold bool
}

// Info describes an object.
type Info struct {
	// Name is the object's full name.
	Name string
	// Size is its length in bytes.
	Size int64
	// ModTime is when it was put, by the storage's clock. For people only:
	// nothing may be decided on it.
	ModTime time.Time
}
