package fsmeta

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mahavishnu/snapshot/torturetest"
	"mahavishnu/snapshot/tree"
	"mahavishnu/usertest"
)

func TestTortureTreeCopiedEntryByEntryIsTheSame(t *testing.T) { copyTorture(t) }

func TestTortureTreeCopiedByAnOrdinaryUserIsTheSame(t *testing.T) {
	usertest.Run(t, copyTorture)
}

func copyTorture(t *testing.T) {
	src, dst := torturetest.Dir(t), torturetest.Dir(t)
	torturetest.Build(t, src)
	from, to := open(t, src), open(t, dst)
	clone(t, from, to, "")
	same(t, from, to, "")
}

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := OpenRoot(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func names(t *testing.T, d *Dir) []string {
	t.Helper()
	list, err := d.Names()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func read(t *testing.T, d *Dir, name string) tree.Node {
	t.Helper()
	n, lost, err := d.Read(name)
	if err != nil || len(lost) > 0 {
		t.Fatalf("read %q: %v %v", name, err, lost)
	}
	return n
}

// clone copies everything with this package's means alone.
func clone(t *testing.T, from, to *Dir, at string) {
	for _, name := range names(t, from) {
		n := read(t, from, name)
		var err error
		switch n.Type {
		case tree.Dir:
			err = to.Mkdir(name)
		case tree.File:
			err = cloneFile(from, to, name, int64(n.Size))
		case tree.Symlink:
			err = to.Symlink(n.LinkTarget, name)
		default:
			err = to.MakeSpecial(&n, name)
		}
		if err != nil {
			t.Fatalf("make %q: %v", at+name, err)
		}
		if n.Type == tree.Dir {
			descend(t, from, to, name, func(from, to *Dir) { clone(t, from, to, at+name+"/") })
		}
		lost, err := to.Apply(name, &n, OwnerIDs)
		if err != nil || len(lost) > 0 {
			t.Errorf("apply %q: %v %v", at+name, err, lost)
		}
	}
	n, _, err := from.ReadSelf()
	if err != nil {
		t.Fatal(err)
	}
	if lost, err := to.ApplySelf(&n, OwnerIDs); err != nil || len(lost) > 0 {
		t.Errorf("apply to %q itself: %v %v", at, err, lost)
	}
}

func descend(t *testing.T, a, b *Dir, name string, do func(a, b *Dir)) {
	t.Helper()
	subA, err := a.Sub(name)
	if err != nil {
		t.Fatal(err)
	}
	defer subA.Close()
	subB, err := b.Sub(name)
	if err != nil {
		t.Fatal(err)
	}
	defer subB.Close()
	do(subA, subB)
}

func cloneFile(from, to *Dir, name string, size int64) (err error) {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.Create(name, &tree.Node{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Truncate(size); err != nil {
		return err
	}
	for e, err := range Extents(in, size) {
		if err != nil {
			return err
		}
		if e.Hole {
			continue
		}
		buf := make([]byte, e.Length)
		if _, err := in.ReadAt(buf, e.Offset); err != nil {
			return err
		}
		if _, err := out.WriteAt(buf, e.Offset); err != nil {
			return err
		}
	}
	return nil
}

// same compares two directories entry by entry. The kernel chooses what the
// options leave out.
func same(t *testing.T, a, b *Dir, at string) {
	ignore := cmpopts.IgnoreFields(tree.Node{}, "ChangeTime", "Inode", "Device", "Links")
	na, nb := names(t, a), names(t, b)
	if diff := cmp.Diff(na, nb); diff != "" {
		t.Fatalf("entries of %q: %s", at, diff)
	}
	for _, name := range na {
		want, got := read(t, a, name), read(t, b, name)
		if diff := cmp.Diff(want, got, ignore, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q differs: %s", at+name, diff)
		}
		switch want.Type {
		case tree.Dir:
			descend(t, a, b, name, func(a, b *Dir) { same(t, a, b, at+name+"/") })
		case tree.File:
			if la, lb := layout(t, a, name), layout(t, b, name); !slices.Equal(la, lb) {
				t.Errorf("%q is laid out %v, was %v", at+name, lb, la)
			}
		}
	}
}

func layout(t *testing.T, d *Dir, name string) []Extent {
	t.Helper()
	f, err := d.Open(name)
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := StatFile(f)
	if err != nil {
		t.Fatal(err)
	}
	var list []Extent
	for e, err := range Extents(f, int64(n.Size)) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}
