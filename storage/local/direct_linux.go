package local

import (
	"errors"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directAlign is what direct writes are aligned to, in memory and in the file:
// the largest block of disks and of file systems.
const directAlign = 4 << 10

// writeDirect writes the front of data past the page cache, as far as whole
// blocks go, and returns how much that was: nothing when data does not begin on
// a block in memory, or the file system cannot do it. The rest is written as
// usual, behind it.
//
// A pack is written once and not soon read again. Through the cache each byte
// would be copied once more, and push out what this machine works with.
func writeDirect(f *os.File, data []byte) (int, error) {
	whole := len(data) &^ (directAlign - 1)
	if whole == 0 || uintptr(unsafe.Pointer(&data[0]))%directAlign != 0 {
		return 0, nil
	}
	fd := f.Fd()
	flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
	n := 0
	if err == nil {
		_, err = unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_DIRECT)
	}
	if err == nil {
		n, err = writeBlocks(int(fd), data[:whole])
		if _, clearErr := unix.FcntlInt(fd, unix.F_SETFL, flags); err == nil {
			err = clearErr
		}
	}
	if errors.Is(err, unix.EINVAL) {
		// Older tmpfs and many network file systems do not take the flag; some take
		// it and refuse the write, or want larger blocks.
		return n, nil
	}
	if err != nil {
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: err}
	}
	return n, nil
}

// writeBlocks writes all of data, which is whole blocks, at the file's offset.
func writeBlocks(fd int, data []byte) (int, error) {
	for done := 0; ; {
		n, err := unix.Write(fd, data[done:])
		done += max(n, 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return done, err
		case n == 0:
			return done, io.ErrUnexpectedEOF
		case done == len(data):
			return done, nil
		}
	}
}
