package corpus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Size is what a tree's regular files amount to.
type Size struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Compare compares two trees by reading every byte of both, without any of the
// code that makes or restores backups. It returns the files and bytes it
// compared and a line for each entry that differs in kind, mode, modification
// time, link target or content, is missing, or is too many.
func Compare(ctx context.Context, want, got string) (Size, []string, error) {
	var s Size
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
