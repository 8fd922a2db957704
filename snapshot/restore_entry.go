package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"mahavishnu/snapshot/tree"
)

// entry starts the restore of anything but a directory, in a directory that is
// made. The error ends the restore.
func (r *restorer) entry(ctx context.Context, d *dirNode, n tree.Node) error {
	j := &job{dir: d, name: string(n.Name), node: n}
	if !d.fresh && !d.absent {
		if ok := r.meet(j); !ok {
			return context.Cause(ctx)
		}
	}
	d.pending.Add(1)
	if n.LinkGroup != 0 && r.follow(j) {
		return nil
	}
	j.pending.Store(1)
	switch {
	case n.Type != tree.File:
	case !d.fresh && !d.absent:
		select {
		case r.planner.compare <- j:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	default:
		if err := r.plan(ctx, j); err != nil {
			return err
		}
	}
	return r.planner.planned(j)
}

// meet looks at what is in the target under the entry's name, and reports
// whether the entry is to be restored.
func (r *restorer) meet(j *job) bool {
	d, release, err := r.dirs.get(j.dir)
	if err != nil {
		r.fail(j.path(), err)
		return false
	}
	defer release()
	if j.old, err = lookup(d, j.name); err != nil {
		r.fail(j.path(), err)
		return false
	}
	if j.old == nil {
		return true
	}
	if r.keeps(j.old, &j.node) {
		r.keep(j.path(), j.old, &j.node, "")
		return false
	}
	if j.old.Type != tree.Dir {
		return true
	}
	gone := false
	if r.o.Delete {
		gone, err = r.remove(d, j.name, j.path())
	} else if !r.o.DryRun {
		gone = d.RemoveDir(j.name) == nil // only an empty one goes
	}
	if err == nil && !gone {
		err = errors.New("a directory that is not empty is in its place: remove it, or use --delete")
	}
	if err != nil {
		r.fail(j.path(), err)
		return false
	}
	j.old = nil
	return true
}

// plan asks for all of a file's content.
func (r *restorer) plan(ctx context.Context, j *job) error {
	return r.extents(ctx, j, func(at int64, e tree.Extent) error { return r.want(j, at, e) },
		func(_ int64, e tree.Extent) error {
			r.o.Progress.Add(ProgressDelta{Unchanged: int64(e.Length)}) // the part file begins as one hole
			return nil
		})
}

// want asks for a part of a file.
func (r *restorer) want(j *job, at int64, e tree.Extent) error {
	if r.o.DryRun {
		j.written += int64(e.Length)
		return nil
	}
	return r.planner.add(j, at, e)
}

// leader is the first name of an inode that has several; the others are linked
// to it once it is there.
type leader struct {
	job  *job
	left uint64 // names still to come, as far as the snapshot tells
	// hold keeps the leader's directory from being finished, and perhaps
	// closed to us: one for the leader itself, one for names still to come.
	hold atomic.Int32

	mu      sync.Mutex
	settled bool
	err     error // why there is nothing to link to
	kind    IssueKind
	waiting []*job
}

// follow makes j another name of its group's leader; the first becomes that.
func (r *restorer) follow(j *job) bool {
	l, ok := r.leaders[j.node.LinkGroup]
	if !ok {
		l = &leader{job: j, left: max(j.node.Links, 2) - 1}
		l.hold.Store(2)
		j.lead = l
		j.dir.pending.Add(1)
		r.leaders[j.node.LinkGroup] = l
		return false
	}
	l.mu.Lock()
	wait := !l.settled
	if wait {
		l.waiting = append(l.waiting, j)
	}
	l.mu.Unlock()
	if !wait {
		r.link(l, j)
	}
	if l.left--; l.left == 0 {
		delete(r.leaders, j.node.LinkGroup)
		r.letGo(l)
	}
	return true
}

func (r *restorer) letGo(l *leader) {
	if l.hold.Add(-1) == 0 {
		r.leave(l.job.dir)
	}
}

// releaseLeaders ends the wait for names that were not asked for.
func (r *restorer) releaseLeaders() {
	for _, l := range r.leaders {
		r.letGo(l)
	}
	clear(r.leaders)
}

// settle links the other names met so far; err says that it cannot be.
func (r *restorer) settle(l *leader, kind IssueKind, err error) {
	l.mu.Lock()
	l.settled, l.kind, l.err = true, kind, err
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, j := range waiting {
		r.link(l, j)
	}
	r.letGo(l)
}

// link gives the leader's inode another name.
func (r *restorer) link(l *leader, j *job) {
	defer r.leave(j.dir)
	if l.err != nil {
		r.log.issue(Issue{Kind: l.kind, Path: j.path(), Err: fmt.Errorf("hard link to %s: %w", Printable(l.job.path()), l.err)})
		return
	}
	op, err := r.makeLink(l, j)
	if err != nil {
		r.fail(j.path(), err)
		return
	}
	r.log.action(Action{Op: op, Path: j.path(), Type: j.node.Type.String()})
	r.log.count(func(rep *RestoreReport) {
		rep.HardLinks++
		rep.add(&j.node, op == "unchanged")
	})
	r.o.Progress.Add(entryDelta(&j.node))
}

func (r *restorer) makeLink(l *leader, j *job) (op string, err error) {
	if r.ctx.Err() != nil {
		return "", context.Cause(r.ctx)
	}
	if r.o.DryRun {
		return "link", nil
	}
	d, release, err := r.dirs.get(j.dir)
	if err != nil {
		return "", err
	}
	defer release()
	from, releaseFrom, err := r.dirs.get(l.job.dir)
	if err != nil {
		return "", err
	}
	defer releaseFrom()
	if j.old == nil {
		return "link", d.Link(from, l.job.name, j.name)
	}
	have, err := lookup(d, j.name)
	if err != nil {
		return "", err
	}
	target, err := from.Lstat(l.job.name)
	if err != nil {
		return "", err
	}
	if have != nil && have.Inode == target.Inode && have.Device == target.Device {
		return "unchanged", nil
	}
	part := r.partName(j.name)
	if err := d.Remove(part); err != nil {
		return "", err
	}
	if err := d.Link(from, l.job.name, part); err != nil {
		return "", err
	}
	return "link", d.Rename(part, j.name)
}

// add counts an entry that is now as in the snapshot.
func (r *RestoreReport) add(n *tree.Node, unchanged bool) {
	if n.Type == tree.File {
		r.Files++
	} else {
		r.Others++
	}
	if unchanged {
		r.Unchanged++
	}
}

// entryDelta is a finished entry as progress.
func entryDelta(n *tree.Node) ProgressDelta {
	if n.Type == tree.File {
		return ProgressDelta{Files: 1}
	}
	return ProgressDelta{Others: 1}
}
