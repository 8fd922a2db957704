//go:build unix

package fsmeta

import "golang.org/x/sys/unix"

// Memory returns n bytes that begin on a block, outside Go's heap: as much
// garbage could pile up beside them inside it. Where there are large pages it
// consists of them: the processor finds them sooner, and so does the kernel when
// it lends them to a disk.
func Memory(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		largePages(b)
	}
	return b, err
}

// Free gives back what Memory returned.
func Free(b []byte) error { return unix.Munmap(b) }
