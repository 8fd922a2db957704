//go:build !unix

package fsmeta

// Memory returns n bytes.
func Memory(n int) ([]byte, error) { return make([]byte, n), nil }

// Free gives back what Memory returned.
func Free([]byte) error { return nil }
