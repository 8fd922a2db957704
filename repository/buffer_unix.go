//go:build unix

package repository

import "syscall"

// newBuffer returns memory outside Go's heap: so much long-lived memory inside
// it would let the garbage grow as large again before it is collected. It is
// private and anonymous, so the kernel may back it with large pages.
func newBuffer(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func freeBuffer(buf []byte) error { return syscall.Munmap(buf) }
