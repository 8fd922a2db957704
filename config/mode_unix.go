//go:build unix

package config

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// tooOpen reports whether others than owner and group may do anything, or the
// group may change the file. Group reading is left to those who mount secrets
// that way.
func tooOpen(mode fs.FileMode) bool { return mode&0o027 != 0 }

// tooOpenForKey reports whether anybody but the owner may do anything.
func tooOpenForKey(mode fs.FileMode) bool { return mode&0o077 != 0 }

// isFull reports whether err says that a disk or a quota is full.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
