package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
	"mahavishnu/snapshot/exclude"
	"mahavishnu/snapshot/tree"
)

func TestExclusions(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	tag := "Signature: 8a477f597d28d172789f06886806bc55\n"
	fill(t, dir, map[string]string{
		"keep.o": "", "x.o": "", "src/x.o": "", "src/x.c": "", "build/out": "", "src/build/out": "",
		"cache/CACHEDIR.TAG": tag, "cache/data": "", "cache/deep/data": "", "fake/CACHEDIR.TAG": "no", "fake/data": "",
	})
	res := s.backup(dir, func(o *BackupOptions) {
		o.Exclude, o.ExcludeCaches = []string{"*.o", "!keep.o", "/build/"}, true
	})
	img := s.read(res.Snapshot)
	for path, want := range map[string]bool{
		"keep.o": true, "x.o": false, "src/x.o": false, "src/x.c": true, "build": false,
		"src/build/out": true, "cache": true, "cache/" + exclude.CacheTag: true, "cache/data": false, "cache/deep": false, "fake/data": true,
	} {
		if _, ok := img[path]; ok != want {
			t.Errorf("%s in the snapshot: %v, want %v", path, ok, want)
		}
	}
	if res.Stats.Excluded != 5 {
		t.Errorf("%d excluded, want 5", res.Stats.Excluded)
	}
	if _, err := s.try(dir, func(o *BackupOptions) { o.Exclude = []string{"[a"} }); err == nil || !strings.Contains(err.Error(), "[a") {
		t.Errorf("a bad pattern: %v", err)
	}
}

func TestTheRepositoryIsNotBackedUpIntoItself(t *testing.T) {
	s := newStore(t)
	parent := filepath.Dir(s.dir)
	fill(t, parent, map[string]string{"beside": "x"})
	img := s.read(s.backup(parent).Snapshot)
	if _, ok := img[filepath.Base(s.dir)]; ok || len(img) < 2 {
		t.Errorf("snapshot of %d entries, with the repository: %v", len(img), ok)
	}
	if _, err := s.try(s.dir); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("the repository as the source: %v", err)
	}
}

func TestSourcesThatAreRefused(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, map[string]string{"empty/": "", "full/x": ""})
	for name, c := range map[string]struct {
		path   string
		change func(*BackupOptions)
		want   error
	}{
		"no path":           {"", nil, nil},
		"nothing there":     {filepath.Join(dir, "missing"), nil, ErrNoSource},
		"a file on the way": {filepath.Join(dir, "full/x/y"), nil, nil},
		"empty":             {filepath.Join(dir, "empty"), nil, ErrEmptySource},
		"all excluded":      {filepath.Join(dir, "full"), func(o *BackupOptions) { o.Exclude = []string{"*"} }, ErrEmptySource},
		"device":            {os.DevNull, nil, nil},
		"no name":           {dir, func(o *BackupOptions) { o.Source = "" }, nil},
		"wrong type":        {dir, func(o *BackupOptions) { o.Type = "differential" }, nil},
		"job, no time":      {dir, func(o *BackupOptions) { o.Job = "j" }, nil},
	} {
		change := c.change
		if change == nil {
			change = func(*BackupOptions) {}
		}
		if _, err := s.try(c.path, change); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
	snaps, _, err := s.repo.Snapshots(t.Context(), "")
	s.must(err)
	if len(snaps) != 0 {
		t.Errorf("%d snapshots of refused sources", len(snaps))
	}
	res := s.backup(filepath.Join(dir, "empty"), func(o *BackupOptions) { o.AllowEmpty = true })
	if res.Stats.Dirs.Total() != 1 {
		t.Errorf("an empty source, allowed: %+v", res.Stats)
	}
}

func TestAFileAsTheSource(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, map[string]string{"one": "content", "two": ""})
	for _, path := range []string{"one", "link"} {
		if path == "link" {
			s.must(os.Symlink("one", filepath.Join(dir, "link")))
		}
		res := s.backup(filepath.Join(dir, path))
		img := s.read(res.Snapshot)
		if len(img) != 2 || img["one"].content != "content" || img[""].node.Type != tree.Dir {
			t.Errorf("%s: %v", path, img)
		}
		if again := s.backup(filepath.Join(dir, path)); again.Stats.BytesRead != 0 {
			t.Errorf("%s again: %+v", path, again.Stats)
		}
	}
}

func TestALinkAsTheSourceIsFollowed(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, map[string]string{"real/x": "content"})
	link := filepath.Join(dir, "link")
	s.must(os.Symlink("real", link))
	res := s.backup(link)
	if s.read(res.Snapshot)["x"].content != "content" || res.Snapshot.Path != link {
		t.Errorf("snapshot of %s", res.Snapshot.Path)
	}
}

func TestChangesWhileReading(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	big := noise(3, 3<<20)
	fill(t, dir, map[string]string{"grows": big, "shrinks": big, "shrinks-small": "0123456789", "rewritten": "before", "still": "s", "z-gone": ""})
	at := func(name string, f func(path string) error) func() {
		return func() {
			if err := f(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		}
	}
	h := &hook{at: map[string]func(){
		"grows": at("grows", func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("more")
				err = errors.Join(err, f.Close())
			}
			return errors.Join(err, os.Remove(filepath.Join(dir, "z-gone")))
		}),
		"shrinks":       at("shrinks", func(path string) error { return os.Truncate(path, 1<<20+5) }),
		"shrinks-small": at("shrinks-small", func(path string) error { return os.Truncate(path, 4) }),
		"rewritten":     at("rewritten", func(path string) error { return os.WriteFile(path, []byte("after!"), 0o644) }),
	}}
	// One lot, one reader: what is first in the directory is read before the
	// rest is looked at.
	res := s.backup(dir, func(o *BackupOptions) { o.Progress, o.Readers = h, 1 })
	if diff := cmp.Diff([]string{"grows", "rewritten", "shrinks", "shrinks-small"}, res.Changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"z-gone"}, res.Vanished); diff != "" {
		t.Errorf("vanished (-want +got):\n%s", diff)
	}
	img := s.read(res.Snapshot)
	for name, want := range map[string]string{"grows": big, "shrinks": big[:1<<20+5], "shrinks-small": "0123", "rewritten": "after!"} {
		h := img[name]
		if h.content != want || h.node.Size != uint64(len(want)) || h.node.Flags&tree.Changed == 0 {
			t.Errorf("%s: %d bytes, size %d, flags %b; want %d bytes and a note", name, len(h.content), h.node.Size, h.node.Flags, len(want))
		}
	}
	if _, ok := img["z-gone"]; ok || img["still"].node.Flags != 0 {
		t.Error("the vanished file is there, or the still one is marked")
	}
	// None of them is trusted by the next backup.
	again := s.backup(dir)
	s.wantLive(again.Snapshot, dir)
	if again.Stats.BytesTrusted != 1 || len(again.Changed) != 0 {
		t.Errorf("next backup: %+v", again.Stats)
	}
}

func TestADirectoryThatVanishes(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, map[string]string{"a": "first", "d/x": "y", "e/x": "y"})
	h := &hook{at: map[string]func(){"a": func() { _ = os.RemoveAll(filepath.Join(dir, "d")) }}}
	res := s.backup(dir, func(o *BackupOptions) { o.Progress, o.Readers = h, 1 })
	img := s.read(res.Snapshot)
	if _, ok := img["d"]; ok || img["e/x"].content != "y" || res.Stats.Vanished != 1 {
		t.Errorf("%+v", res.Stats)
	}
}

func TestADeepDirectoryThatIsReplacedIsNamed(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	deep := strings.Repeat("d/", keepOpen+1)
	fill(t, dir, map[string]string{deep + "a/b/trigger": "x", deep + "z/lost": "y", "other": "o"})
	h := &hook{at: map[string]func(){deep + "a/b/trigger": func() {
		s.must(os.Rename(filepath.Join(dir, deep), filepath.Join(dir, "moved")))
		s.must(os.Mkdir(filepath.Join(dir, deep), 0o755))
	}}}
	res, err := s.try(dir, func(o *BackupOptions) { o.Progress, o.Readers = h, 1 })
	s.must(err)
	if len(res.Unreadable) != 1 || !errors.Is(res.Unreadable[0], errMoved) {
		t.Errorf("unreadable %v, want the directory that was moved", res.Unreadable)
	}
	img := s.read(res.Snapshot)
	if img[deep+"a/b/trigger"].content != "x" || img["other"].content != "o" {
		t.Error("what could be read is missing")
	}
}

// TestEverySnapshotIsTheSource changes a directory at random and takes a backup
// after each round. Each must hold the source as it then was.
func TestEverySnapshotIsTheSource(t *testing.T) {
	s := newStore(t)
	for seed := range uint64(25) {
		dir := t.TempDir()
		r := rand.New(rand.NewPCG(seed, 0))
		name := func() string {
			path := dir
			for range 1 + r.IntN(4) {
				path = filepath.Join(path, []string{"a", "b", "c", "\xfe"}[r.IntN(4)])
			}
			return path
		}
		for range 2 {
			s.must(os.WriteFile(filepath.Join(dir, "always"), nil, 0o644))
			for range r.IntN(20) {
				// Most of these fail now and then, as they must.
				path := name()
				switch r.IntN(6) {
				case 0, 1:
					_ = os.MkdirAll(filepath.Dir(path), 0o755)
					_ = os.WriteFile(path, bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(9000)), 0o644)
				case 2:
					_ = os.RemoveAll(path)
				case 3:
					_ = os.Rename(path, name())
				case 4:
					_ = os.Symlink(name(), path)
				case 5:
					_ = os.Link(path, name())
				}
			}
			res := s.backup(dir, func(o *BackupOptions) { o.Source = filepath.Base(filepath.Dir(dir)) + fmt.Sprint(seed) })
			s.wantLive(res.Snapshot, dir)
		}
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}
