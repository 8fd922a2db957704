//go:build unix

package local

import (
	"errors"
	"os"
	"syscall"
)

func openObject(path string) (*os.File, error) {
	// O_NONBLOCK keeps a fifo under an object's name from hanging the reader.
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// syncFile makes the bytes of a file durable, whoever wrote them.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir makes the names in a directory durable. A parent of the storage that
// this user may not open is not ours to sync.
func syncDir(path string, ours bool) error {
	d, err := os.Open(path)
	if err != nil {
		if !ours {
			return nil
		}
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // the file system keeps no directories of its own to sync
	}
	return errors.Join(err, d.Close())
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
