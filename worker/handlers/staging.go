package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
)

const (
	// testPrefix starts the names of restore tests' directories. Targets of
	// restore jobs are names, which cannot start with a dot.
	testPrefix = ".restore-test-"
	// leftAfter is when a restore test's directory that nobody here works on
	// is taken for one whose worker died.
	leftAfter = 24 * time.Hour
)

var errBusy = errors.New("another job is using it")

// staging is the only place restores write to: a directory of this user alone,
// with one directory for each restore.
type staging struct {
	dir   string
	clock clock.Clock

	mu   sync.Mutex
	busy map[string]bool
}

func newStaging(dir string, c clock.Clock) *staging {
	return &staging{dir: dir, clock: c, busy: map[string]bool{}}
}

// take reserves a directory for one job of this process, and returns its path.
// The directory exists afterwards and is no link: what is written below it
// stays below it.
func (s *staging) take(name string) (path string, release func(), err error) {
	if !filepath.IsLocal(name) || strings.ContainsAny(name, `/\`) || name == "." {
		return "", nil, fault.New("use staging directory", name, errors.New("it is not a plain name"), "")
	}
	path = filepath.Join(s.dir, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[name] {
		return "", nil, fault.New("use staging directory", path, errBusy, "")
	}
	if err := s.make(path); err != nil {
		return "", nil, err
	}
	s.busy[name] = true
	return path, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.busy, name)
	}, nil
}

func (s *staging) make(path string) error {
	const hint = "make node.staging_dir a directory that the worker's user may write to"
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fault.New("make staging directory", s.dir, err, hint)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fault.New("make staging directory", path, err, hint)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fault.New("make staging directory", path, err, hint)
	}
	if !info.IsDir() {
		return fault.New("make staging directory", path, fmt.Errorf("there is a %s of that name", kindOf(info.Mode())), "remove it, or restore to another name")
	}
	return nil
}

func kindOf(m fs.FileMode) string {
	if m&fs.ModeSymlink != 0 {
		return "symbolic link"
	}
	return "file"
}

// takeTest reserves an empty directory for one attempt at a restore test, and
// removes what earlier attempts left. A worker that lost the job without
// knowing finds its directory gone, never somebody else's files in it.
func (s *staging) takeTest(job, source string, attempt uint64) (path string, release func() error, err error) {
	sum := sha256.Sum256([]byte(job + "\x00" + source))
	name := testPrefix + hex.EncodeToString(sum[:8])
	earlier, err := filepath.Glob(filepath.Join(s.dir, name+"-*"))
	if err != nil {
		return "", nil, fault.New("look for earlier attempts in", s.dir, err, "")
	}
	for _, left := range earlier {
		if err := removeTree(left); err != nil {
			return "", nil, err
		}
	}
	path, free, err := s.take(fmt.Sprintf("%s-%d", name, attempt))
	if err != nil {
		return "", nil, err
	}
	return path, func() error {
		defer free()
		return removeTree(path)
	}, nil
}

// sweep removes what restore tests of dead workers left.
func (s *staging) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.New("clear staging directory", s.dir, err, "")
	}
	var failed []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), testPrefix) || s.clock.Now().Sub(info.ModTime()) < leftAfter {
			continue // an entry that is gone by now needs no removing
		}
		_, release, err := s.take(e.Name())
		if errors.Is(err, errBusy) {
			continue
		}
		if err == nil {
			err = removeTree(filepath.Join(s.dir, e.Name()))
			release()
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// removeTree removes a restored tree, also one whose directories were restored
// without the right to change them.
func removeTree(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	// WalkDir follows no links, and visits a directory before it reads it.
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && err == nil {
			return os.Chmod(p, 0o700)
		}
		return nil
	})
	if removed := os.RemoveAll(path); removed != nil {
		return fault.New("remove staging directory", path, errors.Join(removed, err), "remove it by hand")
	}
	return nil
}
