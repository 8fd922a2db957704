package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFileSystem writes out all that is waiting for the file system of dir.
func syncFileSystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
