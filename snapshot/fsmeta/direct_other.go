//go:build !linux

package fsmeta

import (
	"errors"
	"os"
)

// Direct would open f once more, for reads and writes that go past the page
// cache; that is done on Linux only.
func Direct(f *os.File) (*os.File, error) {
	return nil, &os.PathError{Op: "open direct", Path: f.Name(), Err: errors.ErrUnsupported}
}

// NotDirect reports whether an error of a file from [Direct] means that it has
// to be written through the cache after all.
func NotDirect(error) bool { return false }

func largePages([]byte) {}

// StartWriteback lets the disk begin to write a range. It is advice, not given here.
func StartWriteback(*os.File, int64, int64) {}
