//go:build unix

package keyring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// checkMode refuses a file that anybody but its owner may use, and one that
// belongs to another user (root may use everybody's).
func checkMode(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: mode is %04o, want 0600", ErrMode, mode)
	}
	return nil
}

// lock makes rotations of the rings in one directory take turns: the ring's own
// file is replaced by a rotation, so the directory carries the lock. It dies
// with the process.
func lock(path string) (unlock func(), err error) {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, cause(err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return func() { _ = d.Close() }, nil // closing unlocks
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
