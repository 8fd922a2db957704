package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

// done says that the planning or one part of an entry is finished. The last to
// say so gives the entry its metadata and its name.
func (r *restorer) done(j *job) {
	if j.pending.Add(-1) > 0 {
		return
	}
	defer r.leave(j.dir)
	finish := r.finishOther
	if j.node.Type == tree.File {
		finish = r.finishFile
	}
	kind, err := finish(j)
	if reported := (reportedError{}); err != nil && !errors.As(err, &reported) {
		r.fail(j.path(), err)
	}
	if j.lead != nil {
		r.settle(j.lead, kind, err)
	}
}

// succeed reports an entry that is now as it should be.
func (r *restorer) succeed(j *job, op string) {
	r.log.action(Action{Op: op, Path: j.path(), Type: j.node.Type.String(), Bytes: j.written})
	r.log.count(func(rep *RestoreReport) {
		rep.add(&j.node, op == "unchanged")
		rep.Bytes += int64(j.node.Size)
		rep.WrittenBytes += j.written
	})
	r.o.Progress.Add(entryDelta(&j.node))
}

// op names what becomes of an entry whose content has to be written.
func (j *job) op() string {
	switch {
	case j.old == nil:
		return "create"
	case j.old.Type == j.node.Type:
		return "update"
	}
	return "replace"
}

// finishFile ends the work on a regular file. All its parts are written.
func (r *restorer) finishFile(j *job) (IssueKind, error) {
	defer r.files.finished(j)
	if j.lostErr == nil && j.err == nil && j.same {
		return r.touchUp(j)
	}
	if r.o.DryRun {
		if j.lostErr != nil {
			return r.damaged(j, "")
		}
		r.succeed(j, j.op())
		return "", nil
	}
	d, release, err := r.dirs.get(j.dir)
	if err != nil {
		return IssueFailed, err
	}
	defer release()
	part := r.part(j)
	if j.lostErr != nil && j.err == nil {
		return r.salvage(j, d, part)
	}
	err = r.withFile(j, func(f *os.File) error { // also makes files without content
		apply := d.ApplyFile
		if j.base == baseNothing {
			apply = d.ApplyNew
		}
		r.applyMeta(j.path, &j.node, func(n *tree.Node, o fsmeta.Ownership) ([]fsmeta.Loss, error) { return apply(f, part, n, o) })
		return nil
	})
	if err = r.closePart(j, err); err == nil {
		err = d.Rename(part, j.name)
	}
	if err != nil {
		switch {
		case j.base == baseNothing && j.started:
			err = errors.Join(err, d.Remove(part))
		case j.started:
			err = fmt.Errorf("%w (what there is of it is in %s; the next restore goes on with that)", err, part)
		}
		return IssueFailed, err
	}
	r.succeed(j, j.op())
	return "", nil
}

// closePart closes the part file for good. An error on closing means that what
// was written may not be there.
func (r *restorer) closePart(j *job, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.closeFile(j)
	return cmp.Or(err, j.err)
}

// touchUp ends the work on a file whose content was right already.
func (r *restorer) touchUp(j *job) (IssueKind, error) {
	d, release, err := r.dirs.get(j.dir)
	if err != nil {
		return IssueFailed, err
	}
	defer release()
	return r.refresh(d, j)
}

// refresh gives an existing entry its metadata if that differs.
func (r *restorer) refresh(d *fsmeta.Dir, j *job) (IssueKind, error) {
	have, lost, err := d.Read(j.name)
	if err != nil {
		return IssueFailed, err
	}
	want := j.node
	want.Xattrs = slices.Clone(want.Xattrs)
	errs := loadXattrs(r.ctx, r.loader, &want)
	r.ownAs(&want, &have)
	if len(lost)+len(errs) == 0 && len(metaDiff(&have, &want)) == 0 {
		r.succeed(j, "unchanged")
		return "", nil
	}
	if !r.o.DryRun {
		r.applyMeta(j.path, &j.node, func(n *tree.Node, o fsmeta.Ownership) ([]fsmeta.Loss, error) {
			return d.Apply(j.name, n, o)
		})
	}
	r.succeed(j, "metadata")
	return "", nil
}

// ownAs makes want expect the owner that an entry gets here.
func (r *restorer) ownAs(want, have *tree.Node) {
	switch r.o.Owners {
	case fsmeta.OwnerNone:
		want.UID, want.GID = have.UID, have.GID
	case fsmeta.OwnerNames:
		// Equal names are equal owners, whatever their numbers.
		if want.User != "" && want.User == have.User {
			want.UID = have.UID
		}
		if want.Group != "" && want.Group == have.Group {
			want.GID = have.GID
		}
	case fsmeta.OwnerIDs:
	}
}

// salvage leaves what is whole of a damaged file beside its name. Whatever
// stands under the name itself stays.
func (r *restorer) salvage(j *job, d *fsmeta.Dir, part string) (IssueKind, error) {
	if !j.started {
		return r.damaged(j, "") // nothing was written, not even begun
	}
	if j.written+j.kept == 0 {
		if err := r.closePart(j, nil); err != nil {
			return IssueFailed, err
		}
		if err := d.Remove(part); err != nil {
			return IssueFailed, err
		}
		return r.damaged(j, "")
	}
	n := j.node
	n.Mode &^= 0o6000 // nobody should run it with other rights
	err := r.withFile(j, func(f *os.File) error {
		r.applyMeta(j.path, &n, func(n *tree.Node, o fsmeta.Ownership) ([]fsmeta.Loss, error) {
			return d.ApplyFile(f, part, n, o)
		})
		return nil
	})
	saved := damagedName(j.name)
	if err = r.closePart(j, err); err == nil {
		err = d.Rename(part, saved)
	}
	if err != nil {
		return IssueFailed, err
	}
	r.log.count(func(rep *RestoreReport) { rep.WrittenBytes += j.written })
	return r.damaged(j, join(j.dir.path, saved))
}

// damaged reports a file that the repository does not have whole.
func (r *restorer) damaged(j *job, saved string) (IssueKind, error) {
	slices.SortFunc(j.lost, func(a, b Range) int { return cmp.Compare(a.Offset, b.Offset) })
	merged := j.lost[:0]
	for _, l := range j.lost {
		if n := len(merged); n > 0 && merged[n-1].Offset+merged[n-1].Length == l.Offset {
			merged[n-1].Length += l.Length
			continue
		}
		merged = append(merged, l)
	}
	err := fmt.Errorf("%d of %d bytes are lost: %w", j.lostLen, j.node.Size, j.lostErr)
	kind := lossKind(j.lostErr)
	r.log.issue(Issue{Kind: kind, Path: j.path(), Ranges: merged, Saved: saved, Err: err})
	r.o.Progress.Add(ProgressDelta{Failed: 1})
	return kind, reportedError{err}
}

// reportedError is an error that is among the issues already.
type reportedError struct{ error }

func (e reportedError) Unwrap() error { return e.error }

// lossKind tells what the repository lost from what the storage would not give
// this time.
func lossKind(err error) IssueKind {
	if damage(err) {
		return IssueDamaged
	}
	return IssueFailed
}

// finishOther makes a link, fifo, socket or device.
func (r *restorer) finishOther(j *job) (IssueKind, error) {
	if r.o.DryRun && j.old == nil {
		r.succeed(j, "create")
		return "", nil
	}
	d, release, err := r.dirs.get(j.dir)
	if err != nil {
		return IssueFailed, err
	}
	defer release()
	if j.old != nil && j.old.Type == j.node.Type && j.old.Rdev == j.node.Rdev {
		have, _, err := d.Read(j.name)
		if err == nil && string(have.LinkTarget) == string(j.node.LinkTarget) {
			return r.refresh(d, j)
		}
	}
	if r.o.DryRun {
		r.succeed(j, j.op())
		return "", nil
	}
	name := j.name
	if j.old != nil {
		// Made aside and moved over the old one, so that there is always one.
		name = r.partName(j.name)
		if err := d.Remove(name); err != nil {
			return IssueFailed, err
		}
	}
	if j.node.Type == tree.Symlink {
		err = d.Symlink(j.node.LinkTarget, name)
	} else {
		err = d.MakeSpecial(&j.node, name)
	}
	if err != nil {
		return IssueFailed, err
	}
	r.applyMeta(j.path, &j.node, func(n *tree.Node, o fsmeta.Ownership) ([]fsmeta.Loss, error) {
		return d.Apply(name, n, o)
	})
	if name != j.name {
		if err := d.Rename(name, j.name); err != nil {
			return IssueFailed, err
		}
	}
	r.succeed(j, j.op())
	return "", nil
}
