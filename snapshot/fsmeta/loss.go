package fsmeta

import (
	"errors"
	"fmt"
	"strings"
)

// ErrName is a name that cannot stand for one entry of a directory.
var ErrName = errors.New("not a name of a directory entry")

// Loss is a piece of metadata that could not be read or set. The entry is
// otherwise good.
type Loss struct {
	What string // "owner", "mode", "times", "attribute user.foo", ...
	Err  error
}

// Error says which piece and why.
func (l Loss) Error() string { return l.What + ": " + l.Err.Error() }

// Unwrap returns the cause.
func (l Loss) Unwrap() error { return l.Err }

// checkName refuses what would not name an entry of the directory itself.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || !localName(name) {
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}
