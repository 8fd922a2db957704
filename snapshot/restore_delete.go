package snapshot

import (
	"cmp"
	"context"
	"errors"

	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

// errMounted keeps Delete from emptying what is only mounted here.
var errMounted = errors.New("another file system is mounted here: it is left alone")

// deleteRest removes from a restored directory what the snapshot does not have.
// What Exclude names is protected, and so is a directory that holds some of it.
func (r *restorer) deleteRest(d *dirNode, l *listing) {
	if l == nil {
		return
	}
	names := l.extra()
	if len(names) == 0 {
		return
	}
	h, release, err := r.dirs.get(d)
	if err != nil {
		r.fail(d.path, err)
		return
	}
	defer release()
	for _, name := range names {
		if r.ctx.Err() != nil {
			return
		}
		if _, err := r.remove(h, name, join(d.path, name)); err != nil {
			r.fail(join(d.path, name), err)
		}
	}
}

// remove deletes an entry with everything below it, never following a link. It
// reports whether all of it went.
func (r *restorer) remove(d *fsmeta.Dir, name, path string) (gone bool, err error) {
	n, err := lookup(d, name)
	if err != nil || n == nil {
		return n == nil, err
	}
	if r.choice.excluded(path, n.Type == tree.Dir) || r.isStorage(n) {
		return false, nil
	}
	if n.Type != tree.Dir {
		r.deleted(path, n)
		if r.o.DryRun {
			return true, nil
		}
		return true, d.Remove(name)
	}
	if here, err := d.Stat(); err != nil || here.Device != n.Device {
		return false, cmp.Or(err, errMounted)
	}
	gone, err = r.empty(d, name, path)
	if err != nil || !gone {
		return false, err
	}
	r.deleted(path, n)
	if r.o.DryRun {
		return true, nil
	}
	return true, d.RemoveDir(name)
}

// empty removes what is in a directory.
func (r *restorer) empty(d *fsmeta.Dir, name, path string) (gone bool, err error) {
	if !r.root && !r.o.DryRun {
		if err := d.Unlock(name); err != nil {
			return false, err
		}
	}
	sub, err := d.Sub(name)
	if err != nil {
		return false, err
	}
	defer sub.Close()
	names, err := sub.Names()
	if err != nil {
		return false, err
	}
	gone = true
	for _, inner := range names {
		if err := context.Cause(r.ctx); err != nil {
			return false, err
		}
		all, err := r.remove(sub, inner, join(path, inner))
		if err != nil {
			return false, err
		}
		gone = gone && all
	}
	return gone, nil
}

func (r *restorer) deleted(path string, n *tree.Node) {
	r.log.action(Action{Op: "delete", Path: path, Type: n.Type.String()})
	r.log.count(func(rep *RestoreReport) { rep.Deleted++ })
}
