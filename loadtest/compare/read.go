package compare

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
)

// warm reads every file below dir, so that it is in the page cache as far as it
// fits.
func warm(ctx context.Context, dir string) error {
	paths := make(chan string, 64)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(paths)
		return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			select {
			case paths <- path:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			buffer := make([]byte, 1<<20)
			for path := range paths {
				if err := read(path, buffer); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fault.New("read into the page cache", dir, err, "")
	}
	return nil
}

func read(path string, buffer []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		switch _, err := f.Read(buffer); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// storedBytes is the size of all files below dir. Two names of one file count
// twice; no program makes such.
func storedBytes(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		return total, fault.New("measure what is stored in", dir, err, "")
	}
	return total, nil
}
