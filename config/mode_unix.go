//go:build unix

package config

import "io/fs"

// tooOpen reports whether others than owner and group may do anything, or the
// group may change the file. Group reading is left to those who mount secrets
// that way.
func tooOpen(mode fs.FileMode) bool { return mode&0o027 != 0 }
