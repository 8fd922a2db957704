package config

import "io/fs"

// tooOpen is always false: Windows keeps permissions in access control lists,
// which the mode bits do not show.
func tooOpen(fs.FileMode) bool { return false }
