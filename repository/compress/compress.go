// Package compress shrinks blobs before they are sealed: zstd, gzip or not at
// all. It looks at a sample first, so that data which cannot shrink is stored as
// it is at the speed of memory.
package compress

import (
	"fmt"
)

// Algorithm names a compression as the configuration does.
type Algorithm string

// The algorithms. The empty one is zstd.
const (
	Zstd Algorithm = "zstd"
	Gzip Algorithm = "gzip"
	None Algorithm = "none"
)

// Setting is an algorithm and its level. The zero value is zstd at its fastest.
type Setting struct {
	Algorithm Algorithm
	// Level is 1 to 9 for gzip and 1 to 22 for zstd (mapped to the nearest of
	// its four speeds); 0 is 6 for gzip and the fastest for zstd.
	Level int
}

// ForTrees is the setting for blobs that are a small part of all: at zstd's default
// what is small shrinks by a twentieth more, and takes no longer.
func (s Setting) ForTrees() Setting {
	if s.Algorithm == "" || s.Algorithm == Zstd {
		s.Level = max(s.Level, 3)
	}
	return s
}

// Best is the strongest compression, for archives.
func Best() Setting { return Setting{Algorithm: Zstd, Level: 19} }

// Validate refuses unknown algorithms and levels.
func (s Setting) Validate() error {
	var limit int
	switch s.Algorithm {
	case Zstd, "":
		limit = 22
	case Gzip:
		limit = 9
	case None:
		return nil
	default:
		return fmt.Errorf("unknown compression %q: use zstd, gzip or none", s.Algorithm)
	}
	if s.Level < 0 || s.Level > limit {
		return fmt.Errorf("%s level %d: use 1 to %d, or 0 for the default", s.Algorithm, s.Level, limit)
	}
	return nil
}
