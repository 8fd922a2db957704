package snapshot

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"mahavishnu/repository"
)

// changes runs a comparison and returns its differences in order of paths.
func changes(t *testing.T, run func(fn func(Change) error) error) []string {
	t.Helper()
	var list []Change
	if err := run(func(c Change) error { list = append(list, c); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b Change) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(b.Op, a.Op)) })
	var lines []string
	for _, c := range list {
		lines = append(lines, strings.TrimSpace(string(c.Op)+" "+c.Type+" "+c.Path+" "+strings.Join(c.What, ",")))
	}
	return lines
}

func (s *store) diff(t *testing.T, a, b repository.Snapshot) []string {
	t.Helper()
	return changes(t, func(fn func(Change) error) error { return Diff(t.Context(), s.repo, a, b, fn) })
}

func (s *store) compare(t *testing.T, snap repository.Snapshot, dir string) []string {
	t.Helper()
	return changes(t, func(fn func(Change) error) error {
		_, err := Compare(t.Context(), s.repo, snap, dir, CompareOptions{}, fn)
		return err
	})
}

func TestDifferencesAreNamed(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	long := noise(1, 3<<20)
	fill(t, src, map[string]string{
		"same": "s", "content": long, "mode": "m", "time": "t", "type": "x", "gone/inside": "g",
		"linked-a": "l", "shrunk": "shrunk", "deep/er/still": "same",
	})
	s.must(os.Symlink("one", src+"/target"))
	s.must(os.Link(src+"/linked-a", src+"/linked-b"))
	before := s.backup(src).Snapshot
	if got := s.compare(t, before, src); got != nil {
		t.Errorf("a directory and its own snapshot: %v", got)
	}

	info, err := os.Stat(src + "/content")
	s.must(err)
	fill(t, src, map[string]string{"content": long[:1<<20] + "X" + long[1<<20+1:], "new/inside": "n", "shrunk": "sh"})
	s.must(os.Chtimes(src+"/content", info.ModTime(), info.ModTime()))
	s.must(os.Chmod(src+"/mode", 0o600))
	s.must(os.Chtimes(src+"/time", info.ModTime(), info.ModTime().Add(1)))
	s.must(os.Remove(src + "/type"))
	s.must(os.Mkdir(src+"/type", 0o755))
	s.must(os.RemoveAll(src + "/gone"))
	s.must(os.Remove(src + "/target"))
	s.must(os.Symlink("two", src+"/target"))
	s.must(os.Remove(src + "/linked-b"))
	s.must(os.Link(src+"/same", src+"/linked-b"))
	after := s.backup(src, func(o *BackupOptions) { o.Type = Full }).Snapshot

	want := []string{
		"changed dir  time",
		"changed file content content",
		"removed dir gone",
		"removed file gone/inside",
		"changed file linked-b content,links,time",
		"changed file mode mode",
		"added dir new",
		"added file new/inside",
		"changed file same links",
		"changed file shrunk content,time",
		"changed symlink target time,target",
		"changed file time time",
		"removed file type",
		"added dir type",
	}
	if d := gocmp.Diff(want, s.diff(t, before, after)); d != "" {
		t.Errorf("diff: %s", d)
	}
	if d := gocmp.Diff(want, s.compare(t, before, src)); d != "" {
		t.Errorf("compare: %s", d)
	}
}
