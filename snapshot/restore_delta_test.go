package snapshot

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

func inodeOf(t testing.TB, dir, name string) uint64 {
	t.Helper()
	d, err := fsmeta.OpenRoot(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n, err := d.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return n.Inode
}

func age(t testing.TB, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
}

// spoil overwrites a few bytes of a file and makes it old.
func spoil(t testing.TB, path string, offsets ...int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range offsets {
		if _, err := f.WriteAt([]byte("spoilt"), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	age(t, path)
}

func TestOnlyWhatDiffersIsWritten(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	large, small := noise(3, resumable+5<<20), noise(4, 6<<20)
	fill(t, src, map[string]string{"large": large, "small": small})
	snap := s.backup(src).Snapshot
	for _, test := range []struct {
		name, content string
		inPlace       bool
		change        func(path string)
	}{
		{"large", large, true, func(p string) { spoil(t, p, 10<<20) }},
		{"large", large, true, func(p string) { spoil(t, p, 0, resumable) }},
		{"large", large, true, func(p string) { s.must(os.Truncate(p, 12<<20)); age(t, p) }},
		{"large", large, true, func(p string) { s.must(os.Truncate(p, 40<<20)); age(t, p) }},
		{"small", small, false, func(p string) { spoil(t, p, 3<<20) }},
		{"small", small, false, func(p string) { s.must(os.Truncate(p, 7<<20)); age(t, p) }},
		{"large", large, false, func(p string) {
			spoil(t, p, 10<<20)
			s.must(os.Link(p, p+"-elsewhere"))
		}},
	} {
		dst := t.TempDir()
		s.restore(snap, RestoreOptions{Target: dst})
		test.change(dst + "/" + test.name)
		spoilt, err := os.ReadFile(dst + "/" + test.name)
		s.must(err)
		before := inodeOf(t, dst, test.name)

		dry := s.restore(snap, RestoreOptions{Target: dst, DryRun: true})
		report := s.restore(snap, RestoreOptions{Target: dst, Verify: true})
		if got, err := os.ReadFile(dst + "/" + test.name); err != nil || string(got) != test.content {
			t.Errorf("%s: content differs: %v", test.name, err)
		}
		if report.WrittenBytes > 20<<20 || report.WrittenBytes != dry.WrittenBytes {
			t.Errorf("%s: wrote %d bytes, the dry run said %d", test.name, report.WrittenBytes, dry.WrittenBytes)
		}
		if inPlace := before == inodeOf(t, dst, test.name); inPlace != test.inPlace {
			t.Errorf("%s: changed in place: %v", test.name, inPlace)
		}
		if other, err := os.ReadFile(dst + "/" + test.name + "-elsewhere"); err == nil && string(other) != string(spoilt) {
			t.Errorf("%s: its other name changed too", test.name)
		}
	}
}

func TestHolesComeBackInPlace(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	const size = 64 << 20
	f, err := os.Create(src + "/sparse")
	s.must(err)
	s.must(f.Truncate(size))
	_, err = f.WriteAt([]byte(noise(5, 1<<20)), 30<<20)
	s.must(err)
	s.must(f.Close())
	snap := s.backup(src).Snapshot
	s.must(os.WriteFile(dst+"/sparse", []byte(strings.Repeat("x", size)), 0o600))
	age(t, dst+"/sparse")
	s.restore(snap, RestoreOptions{Target: dst})
	if got := s.compare(t, snap, dst); got != nil {
		t.Error(got)
	}
	f, err = os.Open(dst + "/sparse")
	s.must(err)
	defer f.Close()
	if used, err := fsmeta.Allocated(f); err != nil || used > 8<<20 {
		t.Errorf("%d bytes are allocated, %v", used, err)
	}
}

func TestInterruptedRestoreGoesOnWhereItStopped(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	large := noise(6, 3*resumable)
	fill(t, src, map[string]string{"large": large, "dir/small": noise(7, 100), "dir/other": noise(8, 3<<20)})
	res := s.backup(src, func(o *BackupOptions) { o.Budget = 1 << 20 })
	stop := errors.New("stopped by the test")
	wrote := int64(0)
	for runs := 1; ; runs++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		report, err := Restore(ctx, s.repo, res.Snapshot, RestoreOptions{
			Target: dst, Budget: 1,
			Progress: &interruptAfter{bytes: 8 << 20, cancel: cancel, cause: stop},
		})
		cancel(nil)
		wrote += report.WrittenBytes
		if err == nil {
			if runs < 3 {
				t.Errorf("it took %d runs only", runs)
			}
			break
		}
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		for name, content := range contents(t, dst) {
			if name == "large" && content != large {
				t.Fatal("a file that is not whole stands under its own name")
			}
		}
		if runs > 20 {
			t.Fatal("it never ends")
		}
	}
	// A run is stopped after 8 MiB, give or take the blobs under way, and the
	// tree has 51: whoever starts over writes far more in the last run.
	if wrote > 20<<20 {
		t.Errorf("the last run alone counts what it wrote: %d", wrote)
	}
	if got := s.compare(t, res.Snapshot, dst); got != nil {
		t.Error(got)
	}
}

func TestAnInterruptedChangeInPlaceIsNeverUnderItsName(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	large := noise(9, 2*resumable)
	fill(t, src, map[string]string{"large": large})
	snap := s.backup(src).Snapshot
	s.must(os.WriteFile(dst+"/large", []byte(noise(10, 2*resumable)), 0o600))
	age(t, dst+"/large")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stop := errors.New("stopped by the test")
	_, err := Restore(ctx, s.repo, snap, RestoreOptions{
		Target: dst, Budget: 1,
		Progress: &interruptAfter{bytes: 4 << 20, cancel: cancel, cause: stop},
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	names := slices.Collect(func(yield func(string) bool) {
		for name := range contents(t, dst) {
			if !yield(name) {
				return
			}
		}
	})
	if len(names) != 1 || !isPart(names[0]) {
		t.Errorf("left behind: %q", names)
	}
	s.restore(snap, RestoreOptions{Target: dst})
	wantContents(t, dst, map[string]string{"large": large})
}

func TestHardLinksThatExistAreKeptOrMade(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	fill(t, src, map[string]string{"a": "linked", "dir/": "", "alone": "alone"})
	s.must(os.Link(src+"/a", src+"/dir/b"))
	s.must(os.Link(src+"/a", src+"/c"))
	snap := s.backup(src).Snapshot
	// In the target what should be linked is apart, and what should be apart is linked.
	fill(t, dst, map[string]string{"a": "linked", "c": "old", "dir/": ""})
	s.must(os.Link(dst+"/a", dst+"/alone"))
	for _, name := range []string{"a", "c"} {
		age(t, dst+"/"+name)
	}
	for range 2 {
		report := s.restore(snap, RestoreOptions{Target: dst})
		if report.HardLinks != 2 {
			t.Errorf("%+v", report)
		}
		if got := s.compare(t, snap, dst); got != nil {
			t.Error(got)
		}
	}
}

// craft commits a snapshot whose tree is made by hand.
func (s *store) craft(build func(ctx context.Context, saver tree.Saver) (tree.ID, error)) repository.Snapshot {
	s.Helper()
	session, err := s.repo.Session(s.Context(), repository.SessionOptions{})
	s.must(err)
	root, err := build(s.Context(), treeSaver{session})
	s.must(err)
	now := time.Unix(1_700_000_000, 0)
	snap, err := session.Commit(s.Context(), repository.Snapshot{Source: "crafted", Type: Full, Time: now, Start: now, End: now, Root: repository.ID(root)})
	s.must(err)
	return snap
}

// craftDir commits a root directory with these entries.
func (s *store) craftDir(nodes ...tree.Node) repository.Snapshot {
	return s.craft(func(ctx context.Context, saver tree.Saver) (tree.ID, error) {
		w := tree.NewWriter(saver)
		for i := range nodes {
			if err := w.Add(ctx, &nodes[i]); err != nil {
				return tree.ID{}, err
			}
		}
		c, err := w.Finish(ctx)
		if err != nil {
			return tree.ID{}, err
		}
		return tree.SaveRoot(ctx, saver, &tree.Node{Type: tree.Dir, Mode: 0o755, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Content: c})
	})
}
