package natsserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// ErrInUse means that another process has the store directory.
var ErrInUse = errors.New("the store directory is in use")

const lockName = "mahavishnu.lock"

// dirLock is an advisory lock on a file in the store directory. The operating
// system frees it when the process ends, however it ends, so a lock is never
// stale; the process id inside is for the error message only.
type dirLock struct {
	file *os.File
	once sync.Once
	err  error
}

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(f, 32)) // only decorates the error
		f.Close()
		if !errors.Is(err, ErrInUse) {
			return nil, err
		}
		if pid, bad := strconv.Atoi(strings.TrimSpace(string(owner))); bad == nil {
			return nil, fmt.Errorf("%w by process %d", ErrInUse, pid)
		}
		return nil, ErrInUse
	}
	if err := writePID(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &dirLock{file: f}, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func (l *dirLock) release() error {
	l.once.Do(func() { l.err = l.file.Close() })
	return l.err
}
