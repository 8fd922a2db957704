package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mahavishnu/snapshot/torturetest"
	"mahavishnu/snapshot/tree"
	"mahavishnu/usertest"
)

func TestTorture(t *testing.T) {
	s, dir := newStore(t), torturetest.Dir(t)
	torturetest.Build(t, dir)
	res := s.backup(dir)
	img := s.read(res.Snapshot)
	// The paths of the tree are longer than PATH_MAX, so count with file
	// descriptors.
	d, err := os.OpenRoot(dir)
	s.must(err)
	defer d.Close()
	if want := countBelow(t, d); len(img) != want+1 {
		t.Errorf("%d entries in the snapshot, %d in the source", len(img)-1, want)
	}
	total := res.Stats.Files.Total() + res.Stats.Dirs.Total() + res.Stats.Others.Total()
	if total != int64(len(img)) {
		t.Errorf("%d entries counted, %d in the snapshot", total, len(img))
	}
	if res.Stats.BytesRead > 1<<30 {
		t.Errorf("%d bytes read: the sparse file was read through", res.Stats.BytesRead)
	}
	again := s.backup(dir)
	if again.Snapshot.Root != res.Snapshot.Root || again.Stats.BytesRead != 0 {
		t.Errorf("again: %+v", again.Stats)
	}
	full := s.backup(dir, func(o *BackupOptions) { o.Type, o.Readers = Full, 1 })
	if full.Snapshot.Root != res.Snapshot.Root {
		t.Error("a full backup gives another tree")
	}
}

// TestATreeDeeperThanFilesMayBeOpen has something before and behind each
// directory of a deep chain, so that every one is needed again afterwards.
func TestATreeDeeperThanFilesMayBeOpen(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	files := map[string]string{}
	path := ""
	for range 300 {
		files[path+"a"], files[path+"m/x"], files[path+"z"] = "", "", "z"
		path += "d/"
	}
	fill(t, dir, files)
	var old unix.Rlimit
	s.must(unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	low := old
	low.Cur = 200
	s.must(unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	defer func() { s.must(unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()
	res := s.backup(dir)
	s.wantLive(res.Snapshot, dir)
	if again := s.backup(dir); again.Snapshot.Root != res.Snapshot.Root || again.Stats.BytesRead != 0 {
		t.Errorf("again: %+v", again.Stats)
	}
}

func countBelow(t *testing.T, d *os.Root) int {
	f, err := d.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	list, err := f.ReadDir(-1)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	n := len(list)
	for _, e := range list {
		if e.IsDir() {
			sub, err := d.OpenRoot(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			n += countBelow(t, sub)
			sub.Close()
		}
	}
	return n
}

func TestUnreadableEntriesAreNamed(t *testing.T) {
	usertest.Run(t, func(t *testing.T) {
		s, dir := newStore(t), torturetest.Dir(t)
		fill(t, dir, map[string]string{"good": "g", "blind/inside": "i"})
		want := torturetest.AddUnreadable(t, dir)
		s.must(os.Chmod(filepath.Join(dir, "blind"), 0o600)) // names, but no entries
		defer os.Chmod(filepath.Join(dir, "blind"), 0o700)
		want = append(want, "blind/inside")
		res, err := s.try(dir)
		s.must(err)
		var got []string
		for _, u := range res.Unreadable {
			got = append(got, u.Path)
			if !errors.Is(u, fs.ErrPermission) {
				t.Errorf("%v, want a permission error", u)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || res.Stats.Unreadable != int64(len(want)) {
			t.Errorf("unreadable %q (%d), want %q", got, res.Stats.Unreadable, want)
		}
		if n := res.Snapshot.UnreadableTotal; n != int64(len(want)) || len(res.Snapshot.Unreadable) != len(want) {
			t.Errorf("snapshot names %v of %d", res.Snapshot.Unreadable, n)
		}
		img := s.read(res.Snapshot)
		if img["good"].content != "g" {
			t.Error("the good file is missing")
		}
		if _, ok := img["locked/file"]; ok {
			t.Error("the unreadable file is there, with content nobody read")
		}
		for _, dir := range []string{"locked", "locked/dir", "blind"} {
			if n := img[dir].node; n.Type != tree.Dir || n.Flags&tree.Incomplete == 0 {
				t.Errorf("%s: %+v, want a directory marked as incomplete", dir, n)
			}
		}

		locked := torturetest.Dir(t)
		fill(t, locked, map[string]string{"x": ""})
		s.must(os.Chmod(filepath.Join(locked, "x"), 0))
		if _, err := s.try(locked); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("nothing is readable: %v, want an error rather than an empty snapshot", err)
		}
		s.must(os.Chmod(locked, 0))
		defer os.Chmod(locked, 0o700)
		if _, err := s.try(locked); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("the source itself is not readable: %v", err)
		}
	})
}

func TestHardLinksAreReadOnce(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	content := noise(4, 2<<20)
	fill(t, dir, map[string]string{"a/first": content, "b/": "", "alone": "x"})
	for i := range 40 {
		s.must(os.Link(filepath.Join(dir, "a/first"), filepath.Join(dir, "b", fmt.Sprint(i))))
	}
	s.must(os.Symlink("target", filepath.Join(dir, "sym")))
	s.must(unix.Linkat(unix.AT_FDCWD, filepath.Join(dir, "sym"), unix.AT_FDCWD, filepath.Join(dir, "b/sym"), 0))
	for _, kind := range []string{Full, Incremental} {
		res := s.backup(dir, func(o *BackupOptions) { o.Type = kind })
		st := res.Stats
		if st.BytesRead+st.BytesTrusted != int64(len(content))+1 || st.Bytes != int64(len(content))+1 {
			t.Errorf("%s: %d read, %d trusted, %d in all", kind, st.BytesRead, st.BytesTrusted, st.Bytes)
		}
		img := s.read(res.Snapshot)
		group := img["a/first"].node.LinkGroup
		for i := range 40 {
			h := img[fmt.Sprintf("b/%d", i)]
			if h.node.LinkGroup != group || group == 0 || h.content != content || h.node.Links != 41 {
				t.Errorf("%s: b/%d: group %d of %d, %d bytes", kind, i, h.node.LinkGroup, group, len(h.content))
			}
		}
		if sym := img["sym"].node.LinkGroup; sym == 0 || sym == group || img["b/sym"].node.LinkGroup != sym {
			t.Errorf("%s: symbolic links in groups %d and %d", kind, sym, img["b/sym"].node.LinkGroup)
		}
		if img["alone"].node.LinkGroup != 0 {
			t.Error("a file with one name is in a group")
		}
		s.wantLive(res.Snapshot, dir)
	}
}

func TestSparseFiles(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	path := filepath.Join(dir, "sparse")
	f, err := os.Create(path)
	s.must(err)
	data := noise(5, 1<<20)
	for _, off := range []int64{0, 1 << 30, 5<<30 + 4096} {
		_, err := f.WriteAt([]byte(data), off)
		s.must(err)
	}
	s.must(f.Truncate(10 << 30))
	s.must(f.Close())
	s.must(os.WriteFile(filepath.Join(dir, "all-hole"), nil, 0o644))
	s.must(os.Truncate(filepath.Join(dir, "all-hole"), 1<<20))
	s.must(os.WriteFile(filepath.Join(dir, "zeros"), make([]byte, 64<<10), 0o644))
	res := s.backup(dir)
	if st := res.Stats; st.BytesRead > 4<<20 || st.Bytes < 10<<30 {
		t.Errorf("%d bytes read of %d", st.BytesRead, st.Bytes)
	}
	img := s.read(res.Snapshot)
	n := img["sparse"].node
	if n.Size != 10<<30 || img["sparse"].content != data+data+data {
		t.Errorf("size %d, %d bytes of data", n.Size, len(img["sparse"].content))
	}
	var shape []string
	for _, e := range n.Content.Extents {
		kind := "data"
		if e.Hole() {
			kind = "hole"
		}
		if len(shape) == 0 || shape[len(shape)-1] != kind {
			shape = append(shape, kind)
		}
	}
	if got := strings.Join(shape, " "); got != "data hole data hole data hole" {
		t.Errorf("extents %s", got)
	}
	if e := img["all-hole"].node.Content.Extents; len(e) != 1 || !e[0].Hole() || e[0].Length != 1<<20 {
		t.Errorf("a file that is one hole: %v", e)
	}
	if e := img["zeros"].node.Content.Extents; len(e) != 1 || e[0].Hole() {
		t.Errorf("zeros that are stored: %v", e)
	}
}

func TestAFileThatDoesNotTellItsSize(t *testing.T) {
	const path = "/proc/version"
	want, err := os.ReadFile(path)
	if info, statErr := os.Stat(path); err != nil || statErr != nil || info.Size() != 0 {
		t.Skip("this /proc tells the size of " + path)
	}
	s := newStore(t)
	for range 2 {
		res := s.backup(path)
		h := s.read(res.Snapshot)["version"]
		if h.content != string(want) || h.node.Size != uint64(len(want)) || len(res.Changed) > 0 {
			t.Errorf("%q, size %d, changed %v; want %q", h.content, h.node.Size, res.Changed, want)
		}
	}
	res, err := s.try("/proc/self/pagemap")
	if err == nil || !strings.Contains(err.Error(), errNoEnd.Error()) {
		t.Errorf("a file without an end: %+v, %v", res, err)
	}
}

func TestOneFileSystem(t *testing.T) {
	// /dev holds other file systems on every Linux; take what is there.
	var top, sub unix.Stat_t
	if unix.Stat("/dev", &top) != nil || unix.Stat("/dev/shm", &sub) != nil || top.Dev == sub.Dev {
		t.Skip("/dev/shm is no file system of its own here, and mounting one needs privilege")
	}
	f, err := os.CreateTemp("/dev/shm", "one-file-system-")
	if err != nil {
		t.Skipf("/dev/shm is not writable here: %v", err)
	}
	defer os.Remove(f.Name())
	f.Close()
	s := newStore(t)
	for _, one := range []bool{false, true} {
		res, err := s.try("/dev", func(o *BackupOptions) {
			o.OneFileSystem, o.Exclude = one, []string{"/*", "!/shm", "/shm/*", "!/shm/one-file-system-*"}
		})
		s.must(err)
		img := s.read(res.Snapshot)
		if img["shm"].node.Type != tree.Dir {
			t.Errorf("one file system %v: the mount point is missing", one)
		}
		if _, ok := img["shm/"+filepath.Base(f.Name())]; ok == one {
			t.Errorf("one file system %v: file there %v", one, ok)
		}
	}
}

func TestLongAttributes(t *testing.T) {
	s, dir := newStore(t), t.TempDir()
	fill(t, dir, map[string]string{"f": "x"})
	path := filepath.Join(dir, "f")
	value := []byte(noise(6, 3000))
	if err := unix.Setxattr(path, "user.long", value, 0); err != nil {
		if errors.Is(err, unix.ENOTSUP) {
			t.Skip("this file system has no user attributes")
		}
		t.Fatal(err)
	}
	s.must(unix.Setxattr(path, "user.short", []byte("v"), 0))
	first := s.backup(dir)
	n := s.read(first.Snapshot)["f"].node
	got, err := n.Xattrs[0].Load(t.Context(), treeLoader{s.repo})
	s.must(err)
	if len(n.Xattrs) != 2 || string(got) != string(value) || string(n.Xattrs[1].Value) != "v" {
		t.Errorf("attributes %v", n.Xattrs)
	}
	if again := s.backup(dir, func(o *BackupOptions) { o.Type = Full }); again.Stats.Files.Unchanged != 1 || again.Snapshot.Root != first.Snapshot.Root {
		t.Errorf("again: %+v", again.Stats)
	}
	s.must(unix.Removexattr(path, "user.short"))
	if st := s.backup(dir).Stats; st.Files.Changed != 1 {
		t.Errorf("an attribute less: %+v", st)
	}
}
