package snapshot

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
	"mahavishnu/snapshot/tree"
	"mahavishnu/storage/local"
)

// store is a repository on this disk that a test backs up to.
type store struct {
	testing.TB
	dir  string
	ring *keyring.Ring
	repo *repository.Repository
	// later is added to the machine's time: the parent's trust in a file ends
	// where the file may have changed while the parent was made, and tests do
	// not want to wait.
	later time.Duration
}

func newStore(t testing.TB) *store {
	t.Helper()
	s := &store{TB: t, dir: t.TempDir(), ring: keyring.Generate(time.Unix(1e9, 0)), later: time.Hour}
	be, err := local.Open(s.dir)
	s.must(err)
	s.repo, err = repository.Create(t.Context(), be, s.ring, repository.CreateOptions{})
	s.must(err)
	t.Cleanup(func() { s.must(errors.Join(s.repo.Close(), s.repo.Backend().Close())) })
	return s
}

func (s *store) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// reopen forgets everything that is only in memory.
func (s *store) reopen() {
	s.Helper()
	s.must(s.repo.Close())
	var err error
	s.repo, err = repository.Open(s.Context(), s.repo.Backend(), s.ring, repository.OpenOptions{})
	s.must(err)
}

func (s *store) options(path string) BackupOptions {
	s.later += time.Minute
	return BackupOptions{Source: "home", Path: path, Clock: shifted{clock.System(), s.later}, Host: "test", Readers: 3}
}

// backup runs with changes to the usual options, and expects nothing to be
// amiss.
func (s *store) backup(path string, change ...func(*BackupOptions)) Result {
	s.Helper()
	res, err := s.try(path, change...)
	s.must(err)
	if len(res.Unreadable) > 0 || len(res.ParentErrors) > 0 {
		s.Fatalf("unreadable %v, parent %v", res.Unreadable, res.ParentErrors)
	}
	return res
}

func (s *store) try(path string, change ...func(*BackupOptions)) (Result, error) {
	o := s.options(path)
	for _, c := range change {
		c(&o)
	}
	return Backup(s.Context(), s.repo, o)
}

type shifted struct {
	clock.Clock
	by time.Duration
}

func (c shifted) Now() time.Time { return c.Clock.Now().Add(c.by) }

// image is what a snapshot or a directory holds: node by path, "" the root. The
// content is in Node.LinkTarget's place for files, to have one map.
type image map[string]held

type held struct {
	node    tree.Node
	content string
}

// read loads a whole snapshot.
func (s *store) read(snap repository.Snapshot) image {
	s.Helper()
	root, err := tree.LoadRoot(s.Context(), treeLoader{s.repo}, tree.ID(snap.Root))
	s.must(err)
	img := image{"": {node: root}}
	s.readDir(img, "", root)
	return img
}

func (s *store) readDir(img image, dir string, n tree.Node) {
	s.Helper()
	for r := tree.NewReader(treeLoader{s.repo}, n.Content); ; {
		n, err := r.Next(s.Context())
		if errors.Is(err, io.EOF) {
			return
		}
		s.must(err)
		path := string(n.Name)
		if dir != "" {
			path = dir + "/" + path
		}
		img[path] = held{n, s.content(n)}
		if n.Type == tree.Dir {
			s.readDir(img, path, n)
		}
	}
}

// content returns a file's bytes; of a large one with holes only the data.
func (s *store) content(n tree.Node) string {
	s.Helper()
	if n.Type != tree.File {
		return string(n.LinkTarget)
	}
	var data []byte
	for x := tree.NewExtents(treeLoader{s.repo}, n.Content); ; {
		e, err := x.Next(s.Context())
		if errors.Is(err, io.EOF) {
			return string(data)
		}
		s.must(err)
		if e.Hole() {
			if n.Size < 1<<24 {
				data = append(data, make([]byte, e.Length)...)
			}
			continue
		}
		b, err := s.repo.Load(s.Context(), repository.ID(e.ID), repository.KindData, nil)
		s.must(err)
		if uint64(len(b)) != e.Length {
			s.Fatalf("%s: a blob of %d bytes, want %d", n.Name, len(b), e.Length)
		}
		data = append(data, b...)
	}
}

// wantLive compares a snapshot with the live directory: types, modes, times,
// sizes and content of every entry.
func (s *store) wantLive(snap repository.Snapshot, dir string) {
	s.Helper()
	img := s.read(snap)
	live := map[string]bool{}
	s.must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		s.must(err)
		rel, err := filepath.Rel(dir, path)
		s.must(err)
		if rel == "." {
			rel = ""
		}
		live[rel] = true
		s.compareLive(img[rel], path, rel)
		return nil
	}))
	for path := range img {
		if !live[path] {
			s.Errorf("%q is in the snapshot and not in the source", path)
		}
	}
}

func (s *store) compareLive(h held, path, rel string) {
	s.Helper()
	info, err := os.Lstat(path)
	s.must(err)
	n := h.node
	if n.Type == 0 {
		s.Errorf("%q is missing", rel)
		return
	}
	if n.Mode&0o777 != uint32(info.Mode().Perm()) || n.ModTime != tree.TimeOf(info.ModTime()) {
		s.Errorf("%q: mode %o, time %v", rel, n.Mode, n.ModTime.Time())
	}
	want := ""
	switch info.Mode().Type() {
	case 0:
		b, err := os.ReadFile(path)
		s.must(err)
		want = string(b)
	case os.ModeSymlink:
		want, err = os.Readlink(path)
		s.must(err)
	}
	if h.content != want {
		s.Errorf("%q: content of %d bytes differs from the %d in the source", rel, len(h.content), len(want))
	}
}

// fill makes files from a map of path to content; a slash at the end makes a
// directory.
func fill(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if name[len(name)-1] == '/' {
			err = os.MkdirAll(path, 0o755)
		} else if err == nil {
			err = os.WriteFile(path, []byte(files[name]), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hook is a Progress that runs a function when a path is come to, once.
type hook struct {
	mu sync.Mutex
	at map[string]func()
}

func (h *hook) Add(d ProgressDelta) {
	h.mu.Lock()
	f := h.at[d.Path]
	if d.Path != "" {
		delete(h.at, d.Path)
	}
	h.mu.Unlock()
	if f != nil {
		f()
	}
}

// interruptAfter is a Progress that cancels after some bytes.
type interruptAfter struct {
	mu     sync.Mutex
	bytes  int64
	cancel context.CancelCauseFunc
	cause  error
}

func (i *interruptAfter) Add(d ProgressDelta) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.bytes -= d.Bytes; i.bytes < 0 {
		i.cancel(i.cause)
	}
}
