//go:build !linux

package compare

import "math"

func kernel() string { return "" }

func memory() int64 { return 0 }

func fileSystem(string) string { return "" }

// freeSpace is not known here; a full disk shows as a program that fails.
func freeSpace(string) (int64, error) { return math.MaxInt64, nil }

func dropCaches() error { return nil }
