package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"mahavishnu/fault"
)

// size is what a tree amounts to.
type size struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// Skipped counts entries a plain copy cannot make: devices, sockets, and
	// what may not be read.
	Skipped int64 `json:"skipped"`
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

// differences compares two trees by reading every byte of both, without any of
// the code that made or restored the backup. It returns how many files and
// bytes it compared, and what differs.
func differences(ctx context.Context, want, got string) (size, []string, error) {
	var s size
	var differ []string
	seen := map[string]bool{}
	err := filepath.WalkDir(want, func(path string, d fs.DirEntry, err error) error {
		if err = errors.Join(err, context.Cause(ctx)); err != nil {
			return err
		}
		rel, err := filepath.Rel(want, path)
		if err != nil {
			return err
		}
		seen[rel] = true
		n, why, err := compareEntry(path, filepath.Join(got, rel), d)
		if why != "" {
			differ = append(differ, rel+": "+why)
		}
		s.Bytes += n
		if d.Type().IsRegular() {
			s.Files++
		}
		return err
	})
	if err != nil {
		return s, differ, err
	}
	err = filepath.WalkDir(got, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(got, path)
		if err == nil && !seen[rel] {
			differ = append(differ, rel+": is not in the source")
		}
		return err
	})
	return s, differ, err
}

// compareEntry returns the bytes compared and, when the two differ, in what.
func compareEntry(want, got string, d fs.DirEntry) (n int64, why string, err error) {
	a, err := os.Lstat(want)
	if err != nil {
		return 0, "", err
	}
	b, err := os.Lstat(got)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, "is missing", nil
	case err != nil:
		return 0, "", err
	case a.Mode() != b.Mode():
		return 0, fmt.Sprintf("has mode %v instead of %v", b.Mode(), a.Mode()), nil
	case !a.ModTime().Equal(b.ModTime()):
		return 0, "has another modification time", nil
	}
	switch d.Type() {
	case fs.ModeSymlink:
		x, errX := os.Readlink(want)
		y, errY := os.Readlink(got)
		if x != y {
			why = "points elsewhere"
		}
		return 0, why, errors.Join(errX, errY)
	case 0:
		x, n, errX := hashFile(want)
		y, _, errY := hashFile(got)
		if !bytes.Equal(x, y) {
			why = "has other content"
		}
		return n, why, errors.Join(errX, errY)
	}
	return 0, "", nil
}

func hashFile(path string) ([]byte, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return h.Sum(nil), n, err
}
