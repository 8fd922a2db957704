package keyring

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// checkMode accepts every file: Windows has access lists instead of modes, and
// a file below the user's profile is closed to other users by them.
func checkMode(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	return nil
}

// lock makes rotations take turns. The lock dies with the process.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, cause(err)
	}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &windows.Overlapped{}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

// syncDir does nothing: NTFS journals names itself.
func syncDir(string) error { return nil }
