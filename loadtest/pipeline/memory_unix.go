//go:build unix

package pipeline

import "golang.org/x/sys/unix"

// allocate returns memory that begins on a page, as direct writes need.
func allocate(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

func release(memory []byte) { _ = unix.Munmap(memory) } // fails only for what was never mapped
