package backend

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of storage that others keep, beside those every backend may give.
var (
	// ErrDenied means that the credentials are missing, wrong, expired or do not
	// allow the operation. Trying again changes nothing.
	ErrDenied = errors.New("access denied")
	// ErrRetained means that the object may not be deleted or replaced yet: its
	// retention has not ended. It is a normal answer to a delete.
	ErrRetained = errors.New("object is retained and cannot be deleted yet")
	// ErrArchived means that the object is in an archive tier and has to be thawed
	// before it can be read: see [Thawer].
	ErrArchived = errors.New("object is archived and not readable yet")
	// ErrDamaged means that what arrived is not what the storage says it has, or
	// the other way round: a checksum of the transfer differs.
	ErrDamaged = errors.New("bytes changed on the way")
	// ErrUnsupported means that this place lacks an ability, or has it switched off.
	ErrUnsupported = errors.New("not supported by this storage")
)

// TemporaryError is a failure that may be gone when the operation is tried
// again: a lost connection, a server that is busy or asks to slow down.
type TemporaryError struct {
	// Err is what failed.
	Err error
	// After is how long the server asked to wait; 0 when it did not say.
	After time.Duration
}

func (e *TemporaryError) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("%v (the server asks to wait %v)", e.Err, e.After)
	}
	return e.Err.Error()
}

// Unwrap returns what failed.
func (e *TemporaryError) Unwrap() error { return e.Err }

// Retainer is a backend that can keep objects from being deleted, also by
// whoever has its credentials. PutOptions.RetainUntil asks for it at once.
type Retainer interface {
	// Retain keeps an object until a time. It only ever extends: an earlier time
	// than the object has changes nothing. ErrUnsupported where the place does
	// not have it switched on.
	Retain(ctx context.Context, name string, until time.Time) error
	// Retained returns until when an object is kept; the zero time when it is not.
	Retained(ctx context.Context, name string) (time.Time, error)
	// RetentionCheck says whether the place is set up for retention: nil, or what
	// is missing and the command or setting that mends it.
	RetentionCheck(ctx context.Context) error
}

// Committer is a backend that learns of commits which it cannot tell by itself, since
// nothing is put on a condition.
type Committer interface {
	// Commit says that what was stored until now counts: from now on its loss is noticed as
	// far as the backend can.
	Commit()
}

// Undeleter is a backend that keeps what is deleted by others for a time.
type Undeleter interface {
	// Undelete brings back the wanted objects that are gone and of which versions are
	// kept. What [Backend.Delete] deleted does not come back.
	Undelete(ctx context.Context, o UndeleteOptions) error
}

// UndeleteOptions say what is brought back.
type UndeleteOptions struct {
	// Want tells whether an object is to come back.
	Want func(name string) bool
	// Whole says why the bytes of a version are not what was stored under the name, nil
	// when they are: who deletes may have overwritten before. The newest version that is
	// whole comes back, or the newest of all when none is. A nil Whole trusts the newest.
	Whole func(name string, data []byte) error
	// Tell hears of each object that is back, one at a time.
	Tell func(Undeleted)
}

// Undeleted is an object that came back.
type Undeleted struct {
	Name string
	// Passed is how many versions were passed over, each newer than the one that came back.
	Passed int
	// Damaged is why the newest version is not whole when no older one is either.
	Damaged error
}

// Thawer is a backend whose objects may be in an archive tier, where reading
// fails with ErrArchived until they were asked for.
type Thawer interface {
	// Thaw asks for the named objects to be made readable, those that are archived
	// and not asked for yet, and tells how far all of them are. It may be
	// repeated, which is how a caller waits; asking costs one request an object.
	Thaw(ctx context.Context, names []string, o ThawOptions) (ThawState, error)
}

// ThawOptions says how objects are thawed.
type ThawOptions struct {
	// Days is how long they stay readable; at least 1.
	Days int
	// Speed is "bulk", "standard" or "expedited", as far as the storage knows them.
	Speed string
}

// ThawState is how far a thawing is.
type ThawState struct {
	// Ready is how many of the objects can be read now, Waiting how many cannot yet.
	Ready, Waiting int
	// Asked is how many requests for thawing were made this time.
	Asked int
	// Expected is how long the storage's documentation says that the rest may
	// take; 0 when nothing waits.
	Expected time.Duration
}
