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
	"mahavishnu/terminal"
)

// Kind is a sort of tree.
type Kind string

// The kinds of tree. [Versions] and [Database] can be changed with [Advance].
const (
	// Mixed is large files: of every five, two are random bytes, two are words
	// and one is fixed-width records.
	Mixed Kind = "mixed"
	// Files is small and medium files of all sorts in a tree of directories.
	Files Kind = "files"
	// Small is many small files of text in directories of a thousand.
	Small Kind = "small"
	// Incompressible is large files of random bytes.
	Incompressible Kind = "incompressible"
	// Database is relations of 8 KiB pages, a part of which changes every day.
	Database Kind = "database"
	// Versions is a tree of source text that people work on.
	Versions Kind = "versions"
)

// Kinds lists the kinds of tree, for help texts and checks.
func Kinds() []Kind { return []Kind{Mixed, Files, Small, Incompressible, Database, Versions} }

// Changes tells whether trees of this kind have versions.
func (k Kind) Changes() bool { return k == Database || k == Versions }

// Spec describes a tree.
type Spec struct {
	Kind Kind
	// Files is how many files the tree has.
	Files int
	// FileSize is the size of each file in bytes. In trees of [Files] and
	// [Versions] it is about the mean of sizes that differ as those of real files
	// do; files of a [Small] tree vary between a quarter of it and twice as much.
	// Of a [Database] only the product with Files counts.
	FileSize int64
	// Seed selects one of many trees of the same shape.
	Seed uint64
}

// Bytes is roughly what the tree holds.
func (s Spec) Bytes() int64 { return int64(s.Files) * s.FileSize }

// Sized returns a tree of about that many bytes in files of the usual size: 50 MB
// each in large ones, 66.7 kB on average in a tree of files (150,000 of them at
// 10 GB), 10 kB in a small one, 12 kB in source text.
func Sized(kind Kind, size int64) Spec {
	each := int64(50_000_000)
	switch kind {
	case Small:
		each = 10_000
	case Versions:
		each = 12_000
	case Database:
		each = max(size, 1)
	}
	files := max((size+each/2)/each, 1)
	if kind == Files {
		files = max(size*15/1_000_000, 1)
	}
	return Spec{Kind: kind, Files: int(files), FileSize: max(size/files, 1)}
}

// Describe says in a sentence what the tree is like, for reports.
func (s Spec) Describe() string {
	size, each := terminal.Bytes(s.Bytes()), terminal.Bytes(s.FileSize)
	files := terminal.Plural(s.Files, "file")
	switch s.Kind {
	case Mixed:
		return fmt.Sprintf("%s of %s each: of every five, two of random bytes, two of words, one of fixed-width records", files, each)
	case Files:
		return fmt.Sprintf("%s in a tree of directories (%d files each, three levels): sizes log-normal with a mean of about %s, "+
			"half of them below %s and the largest %s; 50 %% words, 15 %% records, 35 %% random bytes",
			files, filesPerLeaf, each, terminal.Bytes(int64(float64(s.FileSize)*medianShare)), terminal.Bytes(largest*s.FileSize))
	case Small:
		return fmt.Sprintf("%s of words, %s on average, in directories of %d", files, each, filesPerDir)
	case Incompressible:
		return fmt.Sprintf("%s of %s each, random bytes", files, each)
	case Database:
		return fmt.Sprintf("three relations of 8 KiB pages laid out as PostgreSQL does, %s: a table, its index, and a history that only grows; "+
			"each day %g %% of the table's pages change in runs, %g %% alone, %g %% of the index's, and the history grows by %g %%",
			size, 100*clusteredShare, 100*scatteredShare, 100*indexShare, 100*growth)
	case Versions:
		return fmt.Sprintf("%s of source text in directories, %s on average; in each version %g %% of the files are edited in a few places, "+
			"%g %% added, %g %% removed, %g %% moved, and a directory is renamed",
			files, each, 100*editedShare, 100*addedShare, 100*removedShare, 100*movedShare)
	}
	return string(s.Kind)
}

// filesPerDir keeps directories of small files at a size people have.
const filesPerDir = 1000

// filesPerLeaf is how many files a directory of a tree of files has.
const filesPerLeaf = 15

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
	if s.Kind == Database {
		size, err := writeDatabase(ctx, dir, s)
		if err != nil {
			return size, fault.New("write corpus", dir, err, "")
		}
		return size, nil
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
	switch s.Kind {
	case Small:
		return filepath.Join(fmt.Sprintf("dir%04d", n/filesPerDir), fmt.Sprintf("file%07d.txt", n))
	case Files:
		leaf := n / filesPerLeaf
		return filepath.Join(fmt.Sprintf("area%03d", leaf/400), fmt.Sprintf("topic%02d", leaf/20%20), fmt.Sprintf("part%02d", leaf%20),
			fmt.Sprintf("item%07d.%s", n, []string{"txt", "csv", "bin"}[n%3]))
	case Versions:
		return sourcePath(n)
	}
	return fmt.Sprintf("file%05d.dat", n)
}

// Advance changes the tree below dir, which has version-1, to the version:
// Write makes version 0. What changes depends only on the specification, the
// version and the tree. It returns what it changed in words.
func Advance(ctx context.Context, dir string, s Spec, version int) (changed string, err error) {
	switch s.Kind {
	case Database:
		changed, err = advanceDatabase(ctx, dir, s, version)
	case Versions:
		changed, err = advanceSource(ctx, dir, s, version)
	default:
		err = fmt.Errorf("a tree of kind %q has one version only", s.Kind)
	}
	if err != nil {
		return changed, fault.New("change corpus", dir, err, "")
	}
	return changed, nil
}

// Measure counts the regular files of a tree and their bytes.
func Measure(dir string) (s Size, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s.Files++
		s.Bytes += info.Size()
		return nil
	})
	return s, err
}
