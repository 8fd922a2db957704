package fsmeta

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"mahavishnu/snapshot/torturetest"
	"mahavishnu/snapshot/tree"
	"mahavishnu/usertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// self is a node that belongs to whoever runs the test.
func self(typ tree.Type, mode uint32) tree.Node {
	return tree.Node{Type: typ, Mode: mode, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), ModTime: tree.Time{Sec: 1e9, Nsec: 5}}
}

func TestNamesThatLeaveTheDirectoryAreRefused(t *testing.T) {
	d := open(t, t.TempDir())
	n := self(tree.File, 0o600)
	for _, name := range []string{"", ".", "..", "a/b", "/etc/passwd", "nul\x00"} {
		calls := map[string]error{
			"Mkdir": d.Mkdir(name), "Symlink": d.Symlink([]byte("x"), name), "MakeSpecial": d.MakeSpecial(&n, name),
			"Rename": d.Rename("x", name), "Rename from": d.Rename(name, "x"), "Link": d.Link(d, name, "x"), "Link to": d.Link(d, "x", name),
			"Remove": d.Remove(name), "RemoveDir": d.RemoveDir(name), "Unlock": d.Unlock(name),
		}
		_, calls["Sub"] = d.Sub(name)
		_, calls["Open"] = d.Open(name)
		_, calls["OpenWrite"] = d.OpenWrite(name)
		_, calls["Create"] = d.Create(name, &tree.Node{})
		_, calls["Lstat"] = d.Lstat(name)
		_, _, calls["Read"] = d.Read(name)
		_, calls["Apply"] = d.Apply(name, &n, OwnerIDs)
		for call, err := range calls {
			if !errors.Is(err, ErrName) {
				t.Errorf("%s(%q): %v", call, name, err)
			}
		}
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(outside+"/file", []byte("outside"), 0o644))
	must(t, os.Symlink(outside, dir+"/dir"))
	must(t, os.Symlink(outside+"/file", dir+"/file"))
	d := open(t, dir)
	if sub, err := d.Sub("dir"); err == nil {
		t.Error("a link was entered", sub.Close())
	}
	if f, err := d.Open("file"); err == nil {
		t.Error("a link was opened", f.Close())
	}
	if f, err := d.OpenWrite("file"); err == nil {
		t.Error("a link was opened for writing", f.Close())
	}
	n := self(tree.File, 0o777)
	if _, err := d.Apply("file", &n, OwnerIDs); err == nil {
		t.Error("metadata of a file went to a link")
	}
	before, err := os.Stat(outside + "/file")
	must(t, err)
	n = self(tree.Symlink, 0o777)
	_, err = d.Apply("file", &n, OwnerIDs)
	must(t, err)
	after, err := os.Stat(outside + "/file")
	must(t, err)
	if before.Mode() != after.Mode() || !before.ModTime().Equal(after.ModTime()) {
		t.Error("metadata of a link went through it")
	}
	if got, err := d.Lstat("file"); err != nil || got.ModTime != n.ModTime {
		t.Errorf("the link's own time is %v, %v", got.ModTime, err)
	}
}

func TestSpecialFilesAreNotOpened(t *testing.T) {
	d := open(t, t.TempDir())
	for _, typ := range []tree.Type{tree.FIFO, tree.Socket} {
		n := self(typ, 0o640)
		must(t, d.MakeSpecial(&n, typ.String()))
		if f, err := d.Open(typ.String()); err == nil { // must not wait for a writer either
			t.Errorf("a %s was opened: %v", typ, f.Close())
		}
		if f, err := d.OpenWrite(typ.String()); err == nil {
			t.Errorf("a %s was opened for writing: %v", typ, f.Close())
		}
		lost, err := d.Apply(typ.String(), &n, OwnerIDs)
		if err != nil || len(lost) > 0 {
			t.Errorf("apply to a %s: %v %v", typ, err, lost)
		}
	}
	if n := self(tree.Dir, 0o700); d.MakeSpecial(&n, "dir") == nil {
		t.Error("a directory was made as a special file")
	}
}

func TestApplyMakesAttributesExactlyThese(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/f", nil, 0o400))
	for _, name := range []string{"user.keep", "user.change", "user.remove"} {
		must(t, unix.Setxattr(dir+"/f", name, []byte("old"), 0))
	}
	d := open(t, dir)
	n := self(tree.File, 0o400)
	n.Xattrs = []tree.Xattr{{Name: []byte("user.add"), Value: []byte("new")}, {Name: []byte("user.change"), Value: []byte("new")}, {Name: []byte("user.keep"), Value: []byte("old")}}
	lost, err := d.Apply("f", &n, OwnerIDs)
	if err != nil || len(lost) > 0 {
		t.Fatal(err, lost)
	}
	got := read(t, d, "f")
	if diff := cmp.Diff(n.Xattrs, got.Xattrs); diff != "" || got.Mode != 0o400 {
		t.Errorf("mode %o, %s", got.Mode, diff)
	}
}

func TestADefaultACLOfTheTargetIsNotInherited(t *testing.T) {
	src, dst := torturetest.Dir(t), torturetest.Dir(t)
	torturetest.Build(t, src)
	acl := make([]byte, 256)
	size, err := unix.Getxattr(src+"/acl/dir", "system.posix_acl_default", acl)
	must(t, err)
	must(t, unix.Setxattr(dst, "system.posix_acl_default", acl[:size], 0))
	from, to := open(t, src+"/content"), open(t, dst)
	clone(t, from, to, "")
	same(t, from, to, "")
}

func TestSetuidIsOnlyForTheOwnerItWasMeantFor(t *testing.T) {
	usertest.Run(t, func(t *testing.T) {
		dir := torturetest.Dir(t)
		d := open(t, dir)
		must(t, os.WriteFile(dir+"/mine", nil, 0o600))
		must(t, os.WriteFile(dir+"/theirs", nil, 0o600))
		mine, theirs := self(tree.File, 0o4755), self(tree.File, 0o6755)
		theirs.UID, theirs.GID = 1, 1
		if lost, err := d.Apply("mine", &mine, OwnerIDs); err != nil || len(lost) > 0 {
			t.Error(err, lost)
		}
		lost, err := d.Apply("theirs", &theirs, OwnerIDs)
		must(t, err)
		var what []string
		for _, l := range lost {
			what = append(what, l.What)
		}
		if d := cmp.Diff([]string{"owner 1:1", "mode bits 6000"}, what); d != "" {
			t.Error(d)
		}
		if n := read(t, d, "mine"); n.Mode != 0o4755 {
			t.Errorf("mine has mode %o", n.Mode)
		}
		if n := read(t, d, "theirs"); n.Mode != 0o755 {
			t.Errorf("theirs has mode %o", n.Mode)
		}
		// Left to whoever restores, the bits go without a word about the owner.
		if lost, err = d.Apply("theirs", &theirs, OwnerNone); err != nil || len(lost) != 1 {
			t.Error(err, lost)
		}
	})
}

func TestOwnersByName(t *testing.T) {
	me, err := user.Current()
	must(t, err)
	uid, err := strconv.ParseUint(me.Uid, 10, 32)
	must(t, err)
	n := tree.Node{UID: 4321, GID: 4322, User: me.Username, Group: "no-such-group"}
	var owners Owners
	if u, g := OwnerNames.owner(&n, &owners); u != uint32(uid) || g != 4322 {
		t.Errorf("by name: %d:%d", u, g)
	}
	if u, g := OwnerIDs.owner(&n, &owners); u != 4321 || g != 4322 {
		t.Errorf("by number: %d:%d", u, g)
	}
	if owners.User(uint32(uid)) != me.Username || owners.User(4_000_000_000) != "" || owners.Group(4_000_000_000) != "" {
		t.Error("names of ids")
	}
}

func TestExtents(t *testing.T) {
	const k = 1 << 20
	for name, data := range map[string][]Extent{
		"empty":     nil,
		"all data":  {{0, 3 * k, false}},
		"all hole":  {{0, 5 * k, true}},
		"both ends": {{0, k, false}, {k, 2 * k, true}, {3 * k, k, false}},
		"middle":    {{0, k, true}, {k, k, false}, {2 * k, 2 * k, true}},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, t.TempDir())
			f, err := d.Create("f", &tree.Node{})
			must(t, err)
			defer f.Close()
			size := int64(0)
			for _, e := range data {
				size = e.Offset + e.Length
				if !e.Hole {
					_, err := f.WriteAt(slices.Repeat([]byte{1}, int(e.Length)), e.Offset)
					must(t, err)
				}
			}
			must(t, f.Truncate(size))
			if got := layout(t, d, "f"); !slices.Equal(got, data) {
				t.Errorf("got %v, want %v", got, data)
			}
			if size > 0 {
				must(t, PunchHole(f, 0, size))
				if got := layout(t, d, "f"); !slices.Equal(got, []Extent{{0, size, true}}) {
					t.Errorf("after punching: %v", got)
				}
			}
		})
	}
}

func TestPathsOfAnyLength(t *testing.T) {
	dir := torturetest.Dir(t)
	d := open(t, dir)
	const levels = 40 // × 255 bytes
	name := strings.Repeat("d", 255)
	for range levels {
		must(t, d.Mkdir(name))
		sub, err := d.Sub(name)
		must(t, err)
		t.Cleanup(func() { sub.Close() })
		d = sub
	}
	must(t, d.Symlink([]byte("x"), "link"))
	n := self(tree.Symlink, 0o777)
	if lost, err := d.Apply("link", &n, OwnerIDs); err != nil || len(lost) > 0 {
		t.Error(err, lost)
	}
	if got := read(t, d, "link"); got.ModTime != n.ModTime || string(got.LinkTarget) != "x" {
		t.Errorf("%+v", got)
	}
}

func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	must(b, os.WriteFile(dir+"/f", nil, 0o644))
	d, err := OpenRoot(dir, nil)
	must(b, err)
	defer d.Close()
	for b.Loop() {
		if _, _, err := d.Read("f"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApplyFile(b *testing.B) {
	d, err := OpenRoot(b.TempDir(), nil)
	must(b, err)
	defer d.Close()
	f, err := d.Create("f", &tree.Node{})
	must(b, err)
	defer f.Close()
	n := self(tree.File, 0o644)
	for b.Loop() {
		if _, err := d.ApplyFile(f, "f", &n, OwnerIDs); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNewFilesGetTheirMetadata makes files with and without what lets calls be
// spared, also below a directory that hands an access list down.
func TestNewFilesGetTheirMetadata(t *testing.T) {
	for _, list := range []bool{false, true} {
		d := open(t, t.TempDir())
		if list {
			// user::rwx, user:1:r--, group::r--, mask::r--, other::---
			acl := []byte{2, 0, 0, 0}
			for _, e := range [][4]byte{{1, 7}, {2, 4, 1}, {4, 4}, {16, 4}, {32, 0}} {
				id := []byte{255, 255, 255, 255}
				if e[2] != 0 {
					id = []byte{e[2], 0, 0, 0}
				}
				acl = append(append(acl, e[0], 0, e[1], 0), id...)
			}
			must(t, unix.Fsetxattr(d.fd, "system.posix_acl_default", acl, 0))
		}
		for i, mode := range []uint32{0o644, 0o755, 0o600, 0o640, 0o666, 0o444, 0o4755, 0o2750, 0} {
			name := fmt.Sprint("f", i)
			want := tree.Node{Type: tree.File, Mode: mode, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), ModTime: tree.Time{Sec: 1e9, Nsec: 7}}
			if mode == 0o666 {
				want.Xattrs = []tree.Xattr{{Name: []byte("user.a"), Value: []byte("b")}}
			}
			f, err := d.Create(name, &want)
			must(t, err)
			made, err := StatFile(f)
			must(t, err)
			if made.Mode&^want.Mode&0o077 != 0 {
				t.Errorf("a file of mode %o begins with %o", want.Mode, made.Mode)
			}
			lost, err := d.ApplyNew(f, name, &want, OwnerIDs)
			must(t, err)
			must(t, f.Close())
			got, _, err := d.Read(name)
			must(t, err)
			if len(lost) > 0 || got.Mode != want.Mode || got.ModTime != want.ModTime || len(got.Xattrs) != len(want.Xattrs) {
				t.Errorf("access list %v, mode %o: got %o, %v, attributes %v, lost %v", list, mode, got.Mode, got.ModTime, got.Xattrs, lost)
			}
		}
	}
}
