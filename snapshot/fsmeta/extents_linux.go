package fsmeta

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// NextData returns the first run of data at or after off, as [start,end) within
// size; with no data left both are size.
func NextData(f *os.File, off, size int64) (start, end int64, err error) {
	// Most files have no hole: asking for the first hole settles it in one call.
	end, err = f.Seek(off, unix.SEEK_HOLE)
	switch {
	case errors.Is(err, unix.EINVAL):
		return off, size, nil // this file system does not tell
	case errors.Is(err, unix.ENXIO):
		return size, size, nil // the file became shorter: the reader will notice
	case err != nil:
		return 0, 0, err
	case end > off:
		return off, min(end, size), nil
	}
	start, err = f.Seek(off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) || err == nil && start >= size {
		return size, size, nil
	}
	if err != nil {
		return 0, 0, err
	}
	end, err = f.Seek(start, unix.SEEK_HOLE)
	if errors.Is(err, unix.ENXIO) {
		return start, size, nil
	}
	if err != nil {
		return 0, 0, err
	}
	return start, max(start, min(end, size)), nil
}
