package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// tryRestore restores and returns what was said of each entry: actions as
// "op path", issues as "kind path".
func (s *store) tryRestore(snap repository.Snapshot, o RestoreOptions) (RestoreReport, []string, error) {
	s.Helper()
	var said []string
	o.OnAction = func(a Action) { said = append(said, a.Op+" "+a.Path) }
	o.OnIssue = func(i Issue) { said = append(said, string(i.Kind)+" "+i.Path) }
	report, err := Restore(s.Context(), s.repo, snap, o)
	slices.Sort(said)
	return report, said, err
}

// contents reads every file below dir; directories end in a slash.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := path[len(dir)+1:]
		switch {
		case d.IsDir():
			m[name+"/"] = ""
		case d.Type() == os.ModeSymlink:
			target, err := os.Readlink(path)
			m[name] = "-> " + target
			return err
		default:
			data, err := os.ReadFile(path)
			m[name] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wantContents(t testing.TB, dir string, want map[string]string) {
	t.Helper()
	if d := cmp.Diff(want, contents(t, dir)); d != "" {
		t.Errorf("%s: %s", dir, d)
	}
}

func TestOverwritePolicies(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, map[string]string{"same": "same", "newer": "from the snapshot", "older": "from the snapshot", "alike": "from the snapshot"})
	snap := s.backup(src).Snapshot
	at := func(dir, name string, shift time.Duration) {
		info, err := os.Stat(src + "/" + name)
		s.must(err)
		s.must(os.Chtimes(dir+"/"+name, time.Time{}, info.ModTime().Add(shift)))
	}
	const snapshots, targets = "from the snapshot", "from the target's"
	for _, test := range []struct {
		policy              Overwrite
		newer, older, alike string
		skipped, kept       int64
	}{
		{OverwriteOlder, targets, snapshots, snapshots, 1, 0},
		{"", targets, snapshots, snapshots, 1, 0},
		{OverwriteAlways, snapshots, snapshots, snapshots, 0, 0},
		{OverwriteChanged, snapshots, snapshots, targets, 0, 0},
		{OverwriteNever, targets, targets, targets, 0, 4}, // as asked: no failure
	} {
		t.Run(string(test.policy), func(t *testing.T) {
			dst := t.TempDir()
			fill(t, dst, map[string]string{"same": "same", "newer": targets, "older": targets, "alike": targets})
			at(dst, "same", 0)
			at(dst, "newer", time.Second)
			at(dst, "older", -time.Second)
			at(dst, "alike", 0) // same size and time, other content
			report, said, err := s.tryRestore(snap, RestoreOptions{Target: dst, Overwrite: test.policy})
			if report.Skipped != test.skipped || report.Kept != test.kept || errors.Is(err, ErrIncomplete) != (test.skipped > 0) {
				t.Errorf("%d skipped, %d kept, %v: %v", report.Skipped, report.Kept, err, said)
			}
			wantContents(t, dst, map[string]string{"same": "same", "newer": test.newer, "older": test.older, "alike": test.alike})
		})
	}
	if _, err := Restore(t.Context(), s.repo, snap, RestoreOptions{Target: t.TempDir(), Overwrite: "sometimes"}); err == nil {
		t.Error("an unknown policy is accepted")
	}
}

func TestARestoreOfWhatIsThereChangesNothing(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	files := sample()
	fill(t, src, files)
	snap := s.backup(src).Snapshot
	s.restore(snap, RestoreOptions{Target: dst})
	first := s.backup(dst).Snapshot
	report := s.restore(snap, RestoreOptions{Target: dst})
	if report.WrittenBytes != 0 || report.Unchanged != report.Files+report.Others {
		t.Errorf("%+v", report)
	}
	// Not even the change time of a file moved: an incremental reads nothing.
	again := s.backup(dst, func(o *BackupOptions) { o.Parent = first.ID })
	if again.Stats.BytesRead != 0 {
		t.Errorf("the next backup read %d bytes", again.Stats.BytesRead)
	}
}

func TestIncludeAndExclude(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, map[string]string{"a/x.txt": "1", "a/y.log": "2", "a/deep/x.txt": "3", "b/x.txt": "4", "b/c/d/e": "5", "top": "6", "none/": ""})
	snap := s.backup(src).Snapshot
	for name, test := range map[string]struct {
		include, exclude, want []string
	}{
		"a name anywhere":       {[]string{"x.txt"}, nil, []string{"a/", "a/deep/", "a/deep/x.txt", "a/x.txt", "b/", "b/x.txt"}},
		"a path":                {[]string{"/b/c"}, nil, []string{"b/", "b/c/", "b/c/d/", "b/c/d/e"}},
		"a path without slash":  {[]string{"b/c"}, nil, []string{"b/", "b/c/", "b/c/d/", "b/c/d/e"}},
		"a directory, not more": {[]string{"/a/"}, []string{"deep", "*.log"}, []string{"a/", "a/x.txt"}},
		"only files excluded":   {nil, []string{"*", "!*/", "!x.txt"}, []string{"a/", "a/deep/", "a/deep/x.txt", "a/x.txt", "b/", "b/c/", "b/c/d/", "b/x.txt", "none/"}},
		"one of several":        {[]string{"/top", "e"}, nil, []string{"b/", "b/c/", "b/c/d/", "b/c/d/e", "top"}},
	} {
		t.Run(name, func(t *testing.T) {
			dst := t.TempDir()
			s.restore(snap, RestoreOptions{Target: dst, Include: test.include, Exclude: test.exclude})
			var got []string
			for path := range contents(t, dst) {
				got = append(got, path)
			}
			slices.Sort(got)
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	if _, err := Restore(t.Context(), s.repo, snap, RestoreOptions{Target: t.TempDir(), Include: []string{"[a"}}); err == nil {
		t.Error("a pattern that cannot match is accepted")
	}
}

func TestDirectoriesOnTheWayKeepTheirMetadata(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	fill(t, src, map[string]string{"new/file": "1", "old/file": "2"})
	s.must(os.Chmod(src+"/new", 0o750))
	s.must(os.Chmod(src+"/old", 0o750))
	s.must(os.Chtimes(src+"/new", time.Time{}, time.Unix(1e9, 0)))
	snap := s.backup(src).Snapshot
	s.must(os.Mkdir(dst+"/old", 0o711))
	s.restore(snap, RestoreOptions{Target: dst, Include: []string{"file"}})
	info, err := os.Stat(dst + "/new")
	s.must(err)
	if info.Mode().Perm() != 0o750 || !info.ModTime().Equal(time.Unix(1e9, 0)) {
		t.Errorf("a directory that had to be made: %v, %v", info.Mode(), info.ModTime())
	}
	if info, err = os.Stat(dst + "/old"); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("a directory that was there: %v, %v", info.Mode(), err)
	}
}

func TestDelete(t *testing.T) {
	s := newStore(t)
	src, dst, outside := t.TempDir(), t.TempDir(), t.TempDir()
	fill(t, src, map[string]string{"keep/a": "1", "dir/inner": "2", "was-dir": "now a file"})
	snap := s.backup(src).Snapshot
	fill(t, outside, map[string]string{"precious": "p"})
	fill(t, dst, map[string]string{
		"keep/a": "old", "keep/extra": "x", "gone/deep/er": "x", "zz": "x", "was-dir/with/files": "x",
		"cache/kept.keep": "protected", "cache/x": "x", "report" + damagedSuffix: "salvage", partPrefix + strings.Repeat("0", 20): "stale",
	})
	s.must(os.Symlink(outside, dst+"/link-out"))
	s.must(os.Symlink(outside, dst+"/dir"))
	o := RestoreOptions{Target: dst, Delete: true, Exclude: []string{"*.keep"}, Overwrite: OverwriteAlways}

	before := contents(t, dst)
	dry := o
	dry.DryRun = true
	_, planned, err := s.tryRestore(snap, dry)
	s.must(err)
	wantContents(t, dst, before)

	report, said, err := s.tryRestore(snap, o)
	s.must(err)
	if d := cmp.Diff(planned, said); d != "" {
		t.Errorf("the dry run foresaw something else: %s", d)
	}
	if report.Deleted == 0 {
		t.Errorf("%+v", report)
	}
	wantContents(t, dst, map[string]string{
		"keep/": "", "keep/a": "1", "dir/": "", "dir/inner": "2", "was-dir": "now a file",
		"cache/": "", "cache/kept.keep": "protected", "report" + damagedSuffix: "salvage",
	})
	wantContents(t, outside, map[string]string{"precious": "p"})
}

func TestARestoreLeavesItsOwnRepositoryAlone(t *testing.T) {
	s := newStore(t)
	around := filepath.Dir(s.dir)
	fill(t, around, map[string]string{"beside": "x"})
	snap := s.backup(around).Snapshot
	fill(t, around, map[string]string{"beside": "y", "extra": "x"})
	before := contents(t, s.dir)

	_, _, err := s.tryRestore(snap, RestoreOptions{Target: around, Delete: true, Overwrite: OverwriteAlways})
	s.must(err)
	wantContents(t, s.dir, before)
	if now := contents(t, around); now["beside"] != "x" || now["extra"] != "" {
		t.Errorf("around the repository: beside %q, extra %q", now["beside"], now["extra"])
	}
	link := filepath.Join(t.TempDir(), "link")
	s.must(os.Symlink(s.dir, link))
	for _, target := range []string{s.dir, s.dir + "/packs", s.dir + "/new/deep", link, link + "/new"} {
		if _, _, err := s.tryRestore(snap, RestoreOptions{Target: target, Delete: true}); !errors.Is(err, errStorage) {
			t.Errorf("restore into %s: %v", target, err)
		}
	}
	wantContents(t, s.dir, before)
}

// Before the repository was made, there was another directory in its place.
func TestARestoreNeverWritesIntoItsOwnRepository(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	around := filepath.Dir(s.dir)
	fill(t, src, map[string]string{filepath.Base(s.dir) + "/config": "not the repository's", "beside": "x"})
	snap := s.backup(src).Snapshot
	before := contents(t, s.dir)
	_, said, err := s.tryRestore(snap, RestoreOptions{Target: around, Delete: true, Overwrite: OverwriteAlways})
	if !errors.Is(err, ErrIncomplete) || !slices.Contains(said, "failed "+filepath.Base(s.dir)) {
		t.Errorf("%v: %q", err, said)
	}
	wantContents(t, s.dir, before)
}

func TestDryRunOfANewTargetMakesNothing(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, sample())
	snap := s.backup(src).Snapshot
	target := t.TempDir() + "/not/there"
	report := s.restore(snap, RestoreOptions{Target: target, DryRun: true})
	if report.Files != snap.Totals.Files || report.WrittenBytes == 0 {
		t.Errorf("%+v", report)
	}
	if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the target was made: %v", err)
	}
}

func TestADirectoryInTheWayIsNotRemovedUnasked(t *testing.T) {
	s := newStore(t)
	src, dst := t.TempDir(), t.TempDir()
	fill(t, src, map[string]string{"full": "f", "empty": "e"})
	snap := s.backup(src).Snapshot
	fill(t, dst, map[string]string{"full/inside": "i", "empty/": ""})
	_, said, err := s.tryRestore(snap, RestoreOptions{Target: dst, Overwrite: OverwriteAlways})
	if !errors.Is(err, ErrIncomplete) || !slices.Contains(said, "failed full") {
		t.Errorf("%v: %v", err, said)
	}
	wantContents(t, dst, map[string]string{"full/": "", "full/inside": "i", "empty": "e"})
}

func TestLinksInTheTargetAreNeverFollowed(t *testing.T) {
	s := newStore(t)
	src := t.TempDir()
	fill(t, src, map[string]string{"dir/file": "from the snapshot", "file": "from the snapshot", "sub/dir/file": "3"})
	snap := s.backup(src).Snapshot
	for _, policy := range []Overwrite{OverwriteOlder, OverwriteAlways} {
		t.Run(string(policy), func(t *testing.T) {
			dst, outside := t.TempDir(), t.TempDir()
			fill(t, outside, map[string]string{"file": "outside", "dir/": ""})
			s.must(os.Symlink(outside, dst+"/dir"))
			s.must(os.Symlink(outside+"/file", dst+"/file"))
			s.must(os.Symlink("../"+filepath.Base(outside), dst+"/sub"))
			report, said, err := s.tryRestore(snap, RestoreOptions{Target: dst, Overwrite: policy})
			wantContents(t, outside, map[string]string{"file": "outside", "dir/": ""})
			if policy == OverwriteOlder {
				// The links are newer than what the snapshot has there.
				if !errors.Is(err, ErrIncomplete) || report.Skipped != 3 {
					t.Errorf("%v: %v", err, said)
				}
				return
			}
			s.must(err)
			wantContents(t, dst, map[string]string{"dir/": "", "dir/file": "from the snapshot", "file": "from the snapshot", "sub/": "", "sub/dir/": "", "sub/dir/file": "3"})
		})
	}
	t.Run("the target itself", func(t *testing.T) {
		real, link := t.TempDir(), t.TempDir()+"/link"
		s.must(os.Symlink(real, link))
		s.restore(snap, RestoreOptions{Target: link})
		if len(contents(t, real)) == 0 {
			t.Error("the operator's own link was not followed")
		}
	})
}

func TestShowTimes(t *testing.T) {
	if got := show(tree.Time{Sec: 1, Nsec: 5}); got != "1970-01-01 00:00:01.000000005Z" {
		t.Error(got)
	}
}
