package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// treeWalk goes through the trees of snapshots, each part once even when many
// snapshots share it. Only damaged parts are walked again in each snapshot, so
// that it can be told which entries of which snapshots lost something.
type treeWalk struct {
	loader tree.Loader
	// data judges a reference to a blob of file content.
	data func(id tree.ID, length uint64) error
	// entry hears of each entry, in shared parts once.
	entry func(n *tree.Node)
	// lost hears of each blob that is damaged or cannot be read, and at which
	// path. It runs again for every snapshot.
	lost func(path string, id tree.ID, err error)

	clean map[tree.ID]bool // of entry blobs with all that is below them
}

// dir walks a directory and reports whether all of it is whole. The error says
// that the walk itself cannot go on.
func (w *treeWalk) dir(ctx context.Context, path string, c tree.Content) (bool, error) {
	whole := true
	for list := tree.NewExtents(w.loader, c); ; {
		e, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			var ok bool
			ok, err = w.blob(ctx, path, e)
			whole = whole && ok
		}
		if err := w.judge(ctx, path, err); err != nil {
			return false, err
		}
		whole = whole && err == nil
	}
	return whole, nil
}

// judge tells losses, which it reports, from errors that end the walk.
func (w *treeWalk) judge(ctx context.Context, path string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if lost := new(tree.BlobError); errors.As(err, &lost) && confined(err) {
		w.lost(path, lost.ID, err)
		return nil
	}
	return err
}

// blob walks one blob of a directory's entries.
func (w *treeWalk) blob(ctx context.Context, path string, e tree.Extent) (bool, error) {
	if w.clean[e.ID] {
		return true, nil
	}
	_, again := w.clean[e.ID] // walked before, and not whole
	whole := true
	for reader := tree.NewReader(w.loader, tree.Content{Extents: []tree.Extent{e}}); ; {
		n, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if err := w.judge(ctx, path, err); err != nil {
				return false, err
			}
			whole = false
			continue
		}
		if !again {
			w.entry(&n)
		}
		ok, err := w.node(ctx, join(path, string(n.Name)), &n)
		if err != nil {
			return false, err
		}
		whole = whole && ok
	}
	w.clean[e.ID] = whole
	return whole, nil
}

// node checks what an entry refers to.
func (w *treeWalk) node(ctx context.Context, path string, n *tree.Node) (bool, error) {
	whole := true
	for _, x := range n.Xattrs {
		if x.Spilled.IsEmpty() {
			continue
		}
		if _, err := x.Load(ctx, w.loader); err != nil {
			if err := w.judge(ctx, path, err); err != nil {
				return false, err
			}
			whole = false
		}
	}
	switch n.Type {
	case tree.Dir:
		ok, err := w.dir(ctx, path, n.Content)
		return ok && whole, err
	case tree.File:
		ok, err := w.file(ctx, path, n.Content)
		return ok && whole, err
	default:
		return whole, nil
	}
}

// file checks every blob that a file refers to. A file that lost many is
// reported once for each of the blobs.
func (w *treeWalk) file(ctx context.Context, path string, c tree.Content) (bool, error) {
	whole := true
	for list := tree.NewExtents(w.loader, c); ; {
		e, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			if err := w.judge(ctx, path, err); err != nil {
				return false, err
			}
			whole = false
			continue
		}
		if e.Hole() {
			continue
		}
		if err := w.data(e.ID, e.Length); err != nil {
			if ctx.Err() != nil {
				return false, context.Cause(ctx)
			}
			if !confined(err) {
				return false, err
			}
			w.lost(path, e.ID, err)
			whole = false
		}
	}
}

// walkAll walks the snapshots and attributes damage to their entries.
func (v *verifier) walkAll(ctx context.Context, snaps []repository.Snapshot) error {
	counted := map[repository.ID]bool{} // lost blobs, in LostBlobs already
	alive := map[repository.ID]bool{}   // damaged somewhere, but readable
	var snap repository.Snapshot
	w := &treeWalk{
		loader: treeLoader{v.repo}, clean: map[tree.ID]bool{},
		entry: func(n *tree.Node) {
			v.report.Entries++
			v.report.Bytes += int64(n.Size)
		},
		data: func(id tree.ID, length uint64) error { return v.reference(ctx, repository.ID(id), length, alive) },
		lost: func(path string, id tree.ID, err error) {
			p := v.blobProblem(repository.ID(id), err)
			p.Harmless = false
			if !counted[repository.ID(id)] {
				counted[repository.ID(id)] = true
				p.LostBlobs++
			}
			p.affects(snap, path)
		},
	}
	for _, snap = range snaps {
		root, err := loadRoot(ctx, w.loader, snap)
		if err == nil {
			w.entry(&root)
			_, err = w.node(ctx, "", &root)
		}
		if err := w.judge(ctx, "", err); err != nil {
			return fault.New("verify snapshot", snap.ID, err, "")
		}
		v.report.Snapshots++
		v.progress.Add(ProgressDelta{Files: 1})
	}
	return nil
}

// affects notes an entry that lost something, once however much it lost.
func (p *VerifyProblem) affects(snap repository.Snapshot, path string) {
	n := len(p.Affected)
	if n == 0 || p.Affected[n-1].Snapshot != snap.ID || p.Affected[n-1].Source != snap.Source {
		p.Affected = append(p.Affected, Affected{Snapshot: snap.ID, Source: snap.Source, Time: snap.Time})
		n++
	}
	a := &p.Affected[n-1]
	path = Printable(path)
	if path == "" {
		path = "(the root)"
	}
	if a.last == path {
		return
	}
	a.last = path
	a.Entries++
	if len(a.Paths) < reportedPaths {
		a.Paths = append(a.Paths, path)
	}
}

// reference checks that a blob of data can be had: that it is indexed, of the
// right size, within a pack that is there, and not known to be damaged.
func (v *verifier) reference(ctx context.Context, id repository.ID, length uint64, alive map[repository.ID]bool) error {
	sane, err := v.sane(ctx, id, length)
	if sane || err != nil || alive[id] {
		return err
	}
	// It may be stored a second time, or be found without an index.
	data, err := v.repo.Load(ctx, id, repository.KindData, nil)
	if err != nil {
		return err
	}
	if uint64(len(data)) != length {
		return fmt.Errorf("%w: blob %s has %d bytes where %d are due", repository.ErrDamaged, id, len(data), length)
	}
	alive[id] = true
	return nil
}

// sane tells whether the index places a blob of the right size within a pack
// that is there and not known to be damaged in that place.
func (v *verifier) sane(ctx context.Context, id repository.ID, length uint64) (bool, error) {
	loc, ok := v.repo.Locate(id)
	if _, bad := v.bad[id]; bad || !ok {
		return false, nil
	}
	size, there, err := v.size(ctx, loc.Pack)
	return there && loc.Kind == repository.KindData && uint64(loc.Raw) == length && int64(loc.Offset)+int64(loc.Stored) <= size, err
}

// needed returns the packs that hold anything of the snapshots.
func (v *verifier) needed(ctx context.Context, snaps []repository.Snapshot) ([]repository.PackID, error) {
	set := map[repository.PackID]bool{}
	note := func(id tree.ID) {
		loc, ok := v.repo.Locate(repository.ID(id))
		if _, there := v.sizes[loc.Pack]; ok && there {
			set[loc.Pack] = true
		}
	}
	w := &treeWalk{
		loader: notingLoader{treeLoader{v.repo}, note}, clean: map[tree.ID]bool{},
		entry: func(*tree.Node) {},
		data:  func(id tree.ID, _ uint64) error { note(id); return nil },
		lost:  func(string, tree.ID, error) {}, // walkAll meets it again, and tells
	}
	for _, snap := range snaps {
		root, err := loadRoot(ctx, w.loader, snap)
		if err == nil {
			_, err = w.node(ctx, "", &root)
		}
		if err := w.judge(ctx, "", err); err != nil {
			return nil, err
		}
	}
	return slices.Collect(maps.Keys(set)), nil
}

// notingLoader tells of every tree blob that is loaded.
type notingLoader struct {
	tree.Loader
	note func(tree.ID)
}

func (l notingLoader) Load(ctx context.Context, id tree.ID, buf []byte) ([]byte, error) {
	l.note(id)
	return l.Loader.Load(ctx, id, buf)
}
