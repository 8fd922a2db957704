// Package durable writes small files so that neither a crash nor a loss of power leaves
// half of one behind, or takes back what was written.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile writes a file, of mode 0600, so that after a crash it has either its old
// content or the new one, and after WriteFile has returned the new one.
func WriteFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	fresh, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = fresh.Write(data)
	if err == nil {
		err = fresh.Sync()
	}
	if err = errors.Join(err, fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh.Name()))
	}
	return SyncDir(dir)
}
