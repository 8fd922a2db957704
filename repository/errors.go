package repository

import (
	"errors"
	"fmt"
)

// Errors a caller may decide on, always wrapped with the operation and object.
var (
	// ErrNotRepository means that the storage holds no repository.
	ErrNotRepository = errors.New("there is no repository")
	// ErrExists means that the storage holds a repository already.
	ErrExists = errors.New("there is a repository already")
	// ErrWrongKey means that the key ring is of another repository.
	ErrWrongKey = errors.New("the key ring is not of this repository")
	// ErrUnknownFeature means that the repository needs a newer program.
	ErrUnknownFeature = errors.New("the repository uses a feature this program does not know")
	// ErrBlobMissing means that no pack known to hold the blob is there.
	ErrBlobMissing = errors.New("blob is missing")
	// ErrDamaged means that stored bytes are not what was written.
	ErrDamaged = errors.New("stored data is damaged")
	// ErrNoSnapshot means that no snapshot fits the reference.
	ErrNoSnapshot = errors.New("no such snapshot")
	// ErrAmbiguous means that several snapshots fit the reference.
	ErrAmbiguous = errors.New("more than one snapshot fits")
	// ErrSessionEnded means that the session was committed or aborted.
	ErrSessionEnded = errors.New("the session has ended")
	// ErrTooLarge means that a blob is larger than blob.MaxSize.
	ErrTooLarge = errors.New("blob is too large")
)

// BlobError is a blob that could not be read. Err wraps ErrBlobMissing or
// ErrDamaged when the repository is at fault, ErrUnreadable or ErrUnreachable
// when the storage is.
type BlobError struct {
	ID   ID
	Pack PackID // zero when no pack is known to hold it
	Err  error
	Mend error // why parity does not help, when it was asked; may be nil
}

// Error names the blob and the pack.
func (e *BlobError) Error() string {
	if e.Pack == (PackID{}) {
		return fmt.Sprintf("read blob %s: %v", e.ID, e.Err)
	}
	if e.Mend != nil && !errors.Is(e.Mend, errNoParity) {
		return fmt.Sprintf("read blob %s in %s: %v; %v", e.ID, e.Pack.Object(), e.Err, e.Mend)
	}
	return fmt.Sprintf("read blob %s in %s: %v", e.ID, e.Pack.Object(), e.Err)
}

// Unwrap returns the cause.
func (e *BlobError) Unwrap() error { return e.Err }

// FaultHint says what to do about it.
func (e *BlobError) FaultHint() string {
	if errors.Is(e.Err, ErrDamaged) || errors.Is(e.Err, ErrBlobMissing) {
		return "run `mahavishnu verify` to learn which files of which snapshots need this blob; the next full backup stores it again if the source still has it"
	}
	return ""
}
