package corpus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"mahavishnu/fault"
)

// Kind is a sort of tree.
type Kind string

// The kinds of tree.
const (
	// Mixed is large files: of every five, two are random bytes, two are words
	// and one is fixed-width records.
	Mixed Kind = "mixed"
	// Small is many small files of text in directories of a thousand.
	Small Kind = "small"
	// Incompressible is large files of random bytes.
	Incompressible Kind = "incompressible"
)

// Kinds lists the kinds of tree, for help texts and checks.
func Kinds() []Kind { return []Kind{Mixed, Small, Incompressible} }

// Spec describes a tree.
type Spec struct {
	Kind Kind
	// Files is how many files the tree has.
	Files int
	// FileSize is the size of each file; files of a [Small] tree vary between a
	// quarter of it and four times as much.
	FileSize int64
	// Seed selects one of many trees of the same shape.
	Seed uint64
}

// Bytes is roughly what the tree holds.
func (s Spec) Bytes() int64 { return int64(s.Files) * s.FileSize }

// filesPerDir keeps directories of small files at a size people have.
const filesPerDir = 1000

// Write makes the tree below dir, which must not exist or be empty, and
// returns the bytes written.
func Write(ctx context.Context, dir string, s Spec) (int64, error) {
	if !slices.Contains(Kinds(), s.Kind) {
		return 0, fault.New("write corpus", dir, fmt.Errorf("unknown kind %q", s.Kind), fmt.Sprintf("use one of %v", Kinds()))
	}
	if s.Files < 1 || s.FileSize < 1 {
		return 0, fault.New("write corpus", dir, errors.New("number of files and file size must be positive"), "")
	}
	if err := emptyDir(dir); err != nil {
		return 0, err
	}
	workers := runtime.GOMAXPROCS(0)
	written := make([]int64, workers)
	group, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		group.Go(func() error {
			g := newGenerator()
			for n := w; n < s.Files; n += workers {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				size, err := g.file(dir, s, n)
				written[w] += size
				if err != nil {
					return fault.New("write corpus", dir, err, "")
				}
			}
			return nil
		})
	}
	err := group.Wait()
	var total int64
	for _, n := range written {
		total += n
	}
	return total, err
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(dir, 0o755)
	case err != nil:
		return err
	case len(entries) > 0:
		return fault.New("write corpus", dir, errors.New("the directory is not empty"), "name a new directory")
	}
	return nil
}

// path of file n, relative to the tree.
func (s Spec) path(n int) string {
	if s.Kind != Small {
		return fmt.Sprintf("file%05d.dat", n)
	}
	return filepath.Join(fmt.Sprintf("dir%04d", n/filesPerDir), fmt.Sprintf("file%07d.txt", n))
}
