//go:build !windows

package durable

import (
	"errors"
	"os"
)

// SyncDir makes what was made, renamed and removed in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
