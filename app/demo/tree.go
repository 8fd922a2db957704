package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"mahavishnu/fault"
	"mahavishnu/loadtest/corpus"
)

// size is what a tree amounts to.
type size struct {
	corpus.Size
	// Skipped counts entries a plain copy cannot make: devices, sockets, and
	// what may not be read.
	Skipped int64
}

// copyTree copies directories, regular files and symbolic links, so that the
// demo has a tree it may change.
func copyTree(ctx context.Context, from, to string) (size, error) {
	var s size
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if errors.Is(err, fs.ErrPermission) && path != from {
			s.Skipped++
			return fs.SkipDir
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return s.copyEntry(path, filepath.Join(to, rel), d)
	})
	if err != nil {
		return s, fault.New("copy", from, err, "name a readable directory with --source")
	}
	return s, nil
}

func (s *size) copyEntry(from, to string, d fs.DirEntry) error {
	switch d.Type() {
	case fs.ModeDir:
		return os.MkdirAll(to, 0o755)
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case 0:
		n, err := copyFile(from, to)
		if errors.Is(err, fs.ErrPermission) {
			s.Skipped++
			return nil
		}
		s.Files++
		s.Bytes += n
		return err
	default:
		s.Skipped++
		return nil
	}
}

func copyFile(from, to string) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	return n, errors.Join(err, out.Close())
}

// changes is what changeTree did.
type changes struct {
	Edited, Added, Deleted, Renamed int
}

// changeTree does to a tree what a day does: one file in forty is edited, a
// few are deleted, renamed and added. The same seed does the same.
func changeTree(root string, seed uint64) (changes, error) {
	var done changes
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return done, err
	}
	random := rand.New(rand.NewPCG(seed, 0))
	for _, path := range files {
		switch n := random.IntN(1000); {
		case n < 25:
			done.Edited++
			err = appendTo(path, fmt.Sprintf("\n// edited: %d\n", random.Uint64()))
		case n < 30:
			done.Deleted++
			err = os.Remove(path)
		case n < 35:
			done.Renamed++
			err = os.Rename(path, path+".renamed")
		case n < 40:
			done.Added++
			err = os.WriteFile(path+".added", fmt.Appendf(nil, "added: %d\n", random.Uint64()), 0o644)
		}
		if err != nil {
			return done, err
		}
	}
	// However small the tree is, something has changed.
	done.Added++
	return done, os.WriteFile(filepath.Join(root, "changed-by-demo"), fmt.Appendf(nil, "%d\n", random.Uint64()), 0o644)
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// writeRandom adds a file that no compression or deduplication makes smaller,
// so that backing it up takes a while.
func writeRandom(path string, bytes int64, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, err = io.CopyN(f, rand.NewChaCha8(key), bytes)
	return errors.Join(err, f.Close())
}
