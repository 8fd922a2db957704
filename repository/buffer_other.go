//go:build !unix

package repository

// newBuffer returns memory of Go's heap.
func newBuffer(size int) ([]byte, error) { return make([]byte, size), nil }

func freeBuffer([]byte) error { return nil }
