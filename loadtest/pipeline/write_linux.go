package pipeline

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// writeOnce writes a file past the page cache, and through it where the file
// system refuses that.
func writeOnce(path string, data []byte) (direct bool, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_DIRECT, 0o600)
	if errors.Is(err, unix.EINVAL) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		return false, os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return false, err
	}
	_, err = f.Write(data)
	return true, errors.Join(err, f.Close())
}
