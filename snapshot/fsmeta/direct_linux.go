package fsmeta

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Direct opens the same inode as f once more, for reads and writes that go past
// the page cache. It fails on file systems that are not known to gain by that:
// some take the flag and go through the cache all the same, or no longer
// compress what is written.
func Direct(f *os.File) (*os.File, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return nil, pathError("statfs", f.Name(), err)
	}
	if fs.Type != unix.EXT4_SUPER_MAGIC && fs.Type != unix.XFS_SUPER_MAGIC {
		return nil, pathError("open direct", f.Name(), errors.ErrUnsupported)
	}
	// The way through /proc leads to the inode itself, whatever its name stands
	// for by now.
	fd, err := openat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return nil, pathError("open direct", f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// NotDirect reports whether an error of a file from [Direct] means that it has
// to be written through the cache after all.
func NotDirect(err error) bool { return errors.Is(err, unix.EINVAL) }

// StartWriteback lets the disk begin to write a range that is in the page cache.
// It is advice: whoever syncs the file hears of errors.
func StartWriteback(f *os.File, off, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, length, unix.SYNC_FILE_RANGE_WRITE)
}

// largePages asks for memory in large pages; without them it is only slower.
func largePages(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }
