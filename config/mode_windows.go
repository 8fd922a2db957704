package config

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/windows"
)

// tooOpen is always false: Windows keeps permissions in access control lists,
// which the mode bits do not show.
func tooOpen(fs.FileMode) bool { return false }

func tooOpenForKey(fs.FileMode) bool { return false }

// isFull reports whether err says that a disk is full.
func isFull(err error) bool { return errors.Is(err, windows.ERROR_DISK_FULL) }

// freeSpace returns the bytes this user may still write on the disk of dir.
func freeSpace(dir string) (free uint64, known bool) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return free, err == nil
}
