package fsmeta

import "unsafe"

// Block is what reads and writes past the page cache are aligned to, in memory
// and in the file: the largest block of disks and of file systems.
const Block = 4 << 10

// Aligned reports whether b, which is not empty, begins on a block in memory.
func Aligned(b []byte) bool { return uintptr(unsafe.Pointer(&b[0]))&(Block-1) == 0 }
