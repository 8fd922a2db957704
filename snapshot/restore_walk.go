package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

// walk restores what is in a directory. selected says that all of it is asked
// for; else only what the patterns include. The error ends the restore; what
// concerns single entries is reported.
func (r *restorer) walk(ctx context.Context, d *dirNode, content tree.Content, selected bool) error {
	d.pending.Add(1)
	defer r.leave(d)
	if selected && !r.ensure(d) {
		return nil
	}
	present, err := r.present(d, selected)
	if err != nil {
		r.fail(d.path, err)
		present = nil
	}
	complete := true
	for reader := tree.NewReader(r.loader, content); ; {
		n, err := reader.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			if complete {
				r.deleteRest(d, present)
			}
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			// Without the whole list nobody knows what does not belong here.
			complete = false
			r.heard(err)
			r.log.issue(Issue{Kind: lossKind(err), Path: d.path, Err: fmt.Errorf("%s of this directory are lost with everything below them: %w", entries(err), err)})
			continue
		}
		r.heard(nil)
		present.belongs(r, n.Name)
		if err := r.visit(ctx, d, n, selected); err != nil {
			return err
		}
		if d.err != nil {
			return nil
		}
	}
}

// entries counts what a damaged tree blob held.
func entries(err error) string {
	var lost *tree.BlobError
	if !errors.As(err, &lost) {
		return "entries"
	}
	if lost.Lost == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", lost.Lost)
}

// visit restores one entry if it is asked for.
func (r *restorer) visit(ctx context.Context, d *dirNode, n tree.Node, selected bool) error {
	name := string(n.Name)
	path := join(d.path, name)
	isDir := n.Type == tree.Dir
	if r.choice.excluded(path, isDir) {
		return nil
	}
	selected = selected || r.choice.included(path, isDir)
	r.matched = r.matched || selected
	if isDir {
		if !selected && !r.choice.leadsTo(path) {
			return nil
		}
		content := n.Content
		n.Content = tree.Content{}
		sub := &dirNode{parent: d, name: name, path: path, node: n, restored: selected}
		d.pending.Add(1)
		return r.walk(ctx, sub, content, selected)
	}
	if !selected || !r.ensure(d) {
		return nil
	}
	return r.entry(ctx, d, n)
}

// ensure makes a directory and those above it. When it cannot, that is reported
// once, and nothing below it can be restored.
func (r *restorer) ensure(d *dirNode) bool {
	if d.made || d.err != nil {
		return d.err == nil
	}
	if !r.ensure(d.parent) {
		d.err = d.parent.err
		return false
	}
	d.err = r.makeDir(d)
	d.made = d.err == nil
	return d.made
}

// errKept marks a directory that cannot be made because the policy keeps what
// is in its place.
var errKept = errors.New("kept by policy")

func (r *restorer) makeDir(d *dirNode) error {
	path := d.path
	if d.parent.absent {
		d.absent, d.fresh = true, true
		r.log.action(Action{Op: "create", Path: path, Type: tree.Dir.String()})
		return nil
	}
	parent, release, err := r.dirs.get(d.parent)
	if err != nil {
		return r.fail(path, err)
	}
	defer release()
	var old *tree.Node
	if !d.parent.fresh {
		if old, err = lookup(parent, d.name); err != nil {
			return r.fail(path, err)
		}
	}
	switch {
	case old == nil:
		r.log.action(Action{Op: "create", Path: path, Type: tree.Dir.String()})
	case old.Type == tree.Dir:
		return r.shareDir(d, parent, old)
	case r.keeps(old, &d.node):
		r.keep(path, old, &d.node, "and everything below it ")
		return errKept
	default:
		r.log.action(Action{Op: "replace", Path: path, Type: tree.Dir.String()})
		if !r.o.DryRun {
			if err := parent.Remove(d.name); err != nil {
				return r.fail(path, err)
			}
		}
	}
	d.fresh = true
	d.restored = true // also one that only leads to what was asked for
	if r.o.DryRun {
		d.absent = true
		return nil
	}
	if err := parent.Mkdir(d.name); err != nil {
		return r.fail(path, err)
	}
	return nil
}

// shareDir goes on with a directory that is in the target already.
func (r *restorer) shareDir(d *dirNode, parent *fsmeta.Dir, old *tree.Node) error {
	if r.isStorage(old) {
		return r.fail(d.path, errStorage)
	}
	if r.o.DryRun {
		return nil
	}
	if here, err := parent.Stat(); err == nil && here.Device != old.Device {
		r.mounts = append(r.mounts, d)
	}
	if !r.root && old.Mode&0o700 != 0o700 {
		if err := parent.Unlock(d.name); err != nil {
			return r.fail(d.path, err)
		}
		if !d.restored {
			// Its own mode comes back when everything in it is done.
			d.node, d.restored = *old, true
			if xs, lost, err := fullNode(parent, *old); err == nil && len(lost) == 0 {
				d.node = xs
			}
		}
	}
	return nil
}

// fullNode completes a node from Lstat.
func fullNode(d *fsmeta.Dir, n tree.Node) (tree.Node, []fsmeta.Loss, error) {
	lost, err := d.Complete(&n)
	return n, lost, err
}

// lookup returns what the target has under a name, or nil.
func lookup(d *fsmeta.Dir, name string) (*tree.Node, error) {
	n, err := d.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &n, nil
}

// keeps applies the policy to what is in the target. Directories are never
// given up for something else without Delete.
func (r *restorer) keeps(old, n *tree.Node) bool {
	switch r.o.Overwrite {
	case OverwriteNever:
		return true
	case OverwriteOlder:
		return old.Type != tree.Dir && old.ModTime.Compare(n.ModTime) > 0
	}
	return false
}

// keep reports an entry that the policy kept.
func (r *restorer) keep(path string, old, n *tree.Node, and string) {
	r.log.action(Action{Op: "keep", Path: path, Type: old.Type.String()})
	if r.o.Overwrite == OverwriteNever {
		r.log.count(func(rep *RestoreReport) { rep.Kept++ })
		return
	}
	reason := fmt.Sprintf("the target's is newer: %s, in the snapshot %s", show(old.ModTime), show(n.ModTime))
	r.log.issue(Issue{Kind: IssueSkipped, Path: path, Err: errors.New(and + reason)})
}

func show(t tree.Time) string { return t.Time().Format("2006-01-02 15:04:05.999999999Z") }

// fail reports an entry that the target did not take, and returns the error. A
// full target ends the whole restore.
func (r *restorer) fail(path string, err error) error {
	if full := targetFull(r.o.Target, err); full != nil {
		r.abort(full)
		return full
	}
	if r.ctx.Err() == nil {
		r.log.issue(Issue{Kind: IssueFailed, Path: path, Err: err})
		r.o.Progress.Add(ProgressDelta{Failed: 1})
	}
	return err
}

// listing is what a directory of the target had before anything was restored
// into it, less what the snapshot has.
type listing struct {
	names []string // in byte order
	next  int
	rest  []string
	parts map[string]bool // unfinished files of an earlier run among them
}

// present lists a directory for Delete; nil when nothing will be deleted.
func (r *restorer) present(d *dirNode, selected bool) (*listing, error) {
	if !r.o.Delete || !selected || d.fresh || d.absent {
		return nil, nil
	}
	h, release, err := r.dirs.get(d)
	if err != nil {
		return nil, err
	}
	defer release()
	names, err := h.Names()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	l := &listing{names: names, parts: map[string]bool{}}
	for _, name := range names {
		if isPart(name) {
			l.parts[name] = true
		}
	}
	return l, nil
}

// belongs tells the listing of the snapshot's next entry, in order of names.
func (l *listing) belongs(r *restorer, name []byte) {
	if l == nil {
		return
	}
	for l.next < len(l.names) && l.names[l.next] < string(name) {
		l.rest = append(l.rest, l.names[l.next])
		l.next++
	}
	if l.next < len(l.names) && l.names[l.next] == string(name) {
		l.next++
	}
	if len(l.parts) > 0 {
		delete(l.parts, r.partName(string(name)))
	}
}

// extra returns what the snapshot does not have. Files that this restore may be
// going on with, and what was saved of damaged ones, are not counted.
func (l *listing) extra() []string {
	all := append(l.rest, l.names[l.next:]...)
	return slices.DeleteFunc(all, func(name string) bool {
		return isDamaged(name) || isPart(name) && !l.parts[name]
	})
}
