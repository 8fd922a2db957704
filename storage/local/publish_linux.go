package local

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// publishNew gives a temporary file its name unless the name is taken.
func publishNew(temp, final string) error {
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, final, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return linkNew(temp, final) // a file system without the flag
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: temp, New: final, Err: err}
	}
	return nil
}

// startWriteback lets the disk begin while the program goes on. It is a
// request: Sync is what counts.
func startWriteback(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}
