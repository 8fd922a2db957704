package local

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

func openObject(path string) (*os.File, error) { return os.Open(path) }

// syncFile makes the bytes of a file durable; Windows wants a handle that may
// write.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir does nothing: NTFS journals names itself and has no call to flush a
// directory.
func syncDir(string, bool) error { return nil }

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }
