//go:build linux || darwin

package local

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"mahavishnu/storage/backend"
)

func setAttribute(f *os.File, name, value string) error {
	err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0)
	if errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("%w: its file system has no extended attributes", backend.ErrUnsupported)
	}
	return err
}

// attribute returns an extended attribute of a file, errNoAttribute when it has
// none of that name.
func attribute(path, name string) (string, error) {
	buf := make([]byte, 64)
	n, err := unix.Lgetxattr(path, name, buf)
	switch {
	case errors.Is(err, noAttribute):
		return "", errNoAttribute
	case errors.Is(err, unix.ENOTSUP):
		return "", backend.ErrUnsupported
	case errors.Is(err, unix.ERANGE): // longer than any time
		return "?", nil
	case err != nil:
		return "", err
	}
	return string(buf[:n]), nil
}
