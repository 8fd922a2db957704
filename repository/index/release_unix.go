//go:build unix

package index

import "golang.org/x/sys/unix"

// release takes pages of a mapped file out of this process's memory. They stay
// in the system's cache, and come back when they are touched.
func release(mapped []byte) { _ = unix.Madvise(mapped, unix.MADV_DONTNEED) }
