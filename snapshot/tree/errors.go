package tree

import (
	"errors"
	"fmt"
	"io"
)

// Errors that callers decide on.
var (
	// ErrMalformed: the bytes are not what the encoder writes.
	ErrMalformed = errors.New("malformed tree")
	// ErrUnknownField: a newer program wrote a field that may not be ignored.
	ErrUnknownField = errors.New("unknown critical field: a newer version of the program is needed")
	// ErrNotFound: the directory has no such entry.
	ErrNotFound = errors.New("no such entry")
	// ErrOrder: entries were added out of the byte order of their names.
	ErrOrder = errors.New("entries out of order")
)

// BlobError is a tree blob that could not be loaded or understood.
type BlobError struct {
	ID ID
	// Lost is how much of the content it covered: bytes of a file, entries of
	// a directory.
	Lost uint64
	Err  error
}

// Error names the blob and the cause.
func (e *BlobError) Error() string { return fmt.Sprintf("tree blob %s: %v", e.ID, e.Err) }

// Unwrap returns the cause.
func (e *BlobError) Unwrap() error { return e.Err }

// newBlobError never wraps io.EOF, which to a reader's caller is the good end.
func newBlobError(e Extent, err error) *BlobError {
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", err.Error(), io.ErrUnexpectedEOF)
	}
	return &BlobError{ID: e.ID, Lost: e.Length, Err: err}
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
