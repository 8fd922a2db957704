package snapshot

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

// examine finds out what an entry is and, unless it is a directory, completes
// its node. An error ends the backup; what is wrong with the entry alone is
// tallied.
func (w *walk) examine(ctx context.Context, b *lot, e *entry, r *reader) error {
	d := b.dir
	n, err := d.dir.Lstat(e.name)
	if err != nil {
		w.drop(d, e, err)
		return nil
	}
	if w.excludes(d, &n) {
		w.tally.excluded.Add(1)
		return nil
	}
	e.node = n
	if n.Type == tree.Dir {
		e.dir = true
		return nil
	}
	if n.Links > 1 && n.Inode != 0 {
		return w.linked(ctx, b, e, r)
	}
	if err := w.load(ctx, b, e, r); err != nil || !e.keep {
		return err
	}
	w.count(e, e.node.Size)
	return nil
}

func (w *walk) excludes(d *directory, n *tree.Node) bool {
	if w.opts.OneFileSystem && n.Device != w.device && n.Type != tree.Dir {
		return true
	}
	if n.Type == tree.Dir && n.Inode != 0 && w.storage == (inode{n.Device, n.Inode}) {
		return true // the repository does not back itself up
	}
	return !w.matcher.Empty() && w.matcher.Match(d.join(string(n.Name)), n.Type == tree.Dir)
}

// linked completes the node of an inode with several names, from the name that
// came first if there is one.
func (w *walk) linked(ctx context.Context, b *lot, e *entry, r *reader) error {
	id := inode{e.node.Device, e.node.Inode}
	group, names := linkGroup(id, w.device), e.node.Links
	for {
		k, first := w.links.claim(id, names)
		if first {
			err := w.load(ctx, b, e, r)
			if err != nil || !e.keep {
				w.links.settle(id, k, nil)
				return err
			}
			e.node.Links, e.node.LinkGroup = names, group
			if w.stillIs(b.dir, e, id) {
				w.links.settle(id, k, &e.node)
			} else {
				w.links.settle(id, k, nil) // the name has gone to another inode
				e.node.Links, e.node.LinkGroup = 0, 0
			}
			w.count(e, e.node.Size)
			return nil
		}
		n, err := k.wait(ctx)
		if err != nil {
			return err
		}
		if n != nil {
			n.Name = e.node.Name
			e.node, e.keep = *n, true
			w.count(e, 0)
			return nil
		}
	}
}

// stillIs reports whether what was read under a name is the inode it was taken
// for. Of a regular file the open file said so; others are asked again.
func (w *walk) stillIs(d *directory, e *entry, id inode) bool {
	if e.node.Type == tree.File {
		return e.node.Inode == id.number
	}
	n, err := d.dir.Lstat(e.name)
	return err == nil && n.Inode == id.number && n.Device == id.device
}

// load completes the node of e, from the parent if that may be trusted. With no
// error and keep unset, the entry is not in the snapshot.
func (w *walk) load(ctx context.Context, b *lot, e *entry, r *reader) error {
	if w.parent.same(ctx, e.old, &e.node) {
		e.node, e.keep = *e.old, true
		e.node.LinkGroup = 0
		w.tally.trusted(e.node.Size)
		return nil
	}
	if e.node.Type == tree.File {
		if e.node.Size >= shareSize {
			w.share(b)
		}
		return w.read(ctx, b.dir, e, r)
	}
	return w.complete(ctx, b.dir, e)
}

// read reads a regular file.
func (w *walk) read(ctx context.Context, d *directory, e *entry, r *reader) error {
	f, err := d.dir.Open(e.name)
	if err != nil {
		w.drop(d, e, err)
		return nil
	}
	defer f.Close()
	// The times before reading count: should the file change from here on, the
	// next backup finds others.
	before, err := fsmeta.StatFile(f)
	if err != nil {
		w.drop(d, e, err)
		return nil
	}
	before.Name = e.node.Name
	e.node = before
	if before.Size > 0 {
		w.tally.progress.Add(ProgressDelta{Path: d.join(e.name)})
	}
	content, err := r.content(ctx, f, int64(before.Size))
	if err == nil {
		e.node.Content, e.node.Size = content, content.Length()
		err = w.checkUnchanged(d, e, f, &before)
	}
	var fatal fatalError
	if errors.As(err, &fatal) {
		return fatal.error
	}
	if err != nil {
		w.drop(d, e, err)
		return nil
	}
	w.lost(d, e, d.dir.CompleteFile(f, &e.node))
	return w.settle(ctx, e)
}

// checkUnchanged notes a file that was written to while it was read. One that
// does not tell its size is 0 bytes long before and after, whatever was read.
func (w *walk) checkUnchanged(d *directory, e *entry, f *os.File, before *tree.Node) error {
	after, err := fsmeta.StatFile(f)
	if err != nil {
		return err
	}
	untold := before.Size == 0 && after.Size == 0
	if e.node.Size != before.Size && !untold || after.Size != before.Size ||
		after.ModTime != before.ModTime || after.ChangeTime != before.ChangeTime {
		e.node.Flags |= tree.Changed
		w.tally.changedWhileRead(d.join(e.name))
	}
	return nil
}

// complete adds what the inode of anything but an open file does not hold
// itself: link target, attributes, owners' names.
func (w *walk) complete(ctx context.Context, d *directory, e *entry) error {
	lost, err := d.dir.Complete(&e.node)
	if err != nil {
		w.drop(d, e, err)
		return nil
	}
	w.lost(d, e, lost)
	return w.settle(ctx, e)
}

// settle brings a complete node into the form in which it is stored.
func (w *walk) settle(ctx context.Context, e *entry) error {
	e.keep = true
	e.node.Device = 0
	if len(e.node.Xattrs) == 0 {
		return nil
	}
	var err error
	e.node.Xattrs, err = tree.SpillXattrs(ctx, w.saver, e.node.Xattrs)
	return err
}

// finish ends a directory. d is given when its attributes are still unread.
func (w *walk) finish(ctx context.Context, d *directory, e *entry) error {
	var err error
	if d != nil {
		err = w.complete(ctx, d, e)
	} else {
		err = w.settle(ctx, e)
	}
	if err == nil && e.keep {
		w.count(e, 0)
	}
	return err
}

// count tallies an entry that is in the snapshot; size is the content that it
// adds, which further names of one inode do not.
func (w *walk) count(e *entry, size uint64) {
	w.tally.entry(&e.node, compare(e.old, &e.node), size)
	e.old = nil
}

// drop leaves an entry out: one that is gone is counted, any other also named.
func (w *walk) drop(d *directory, e *entry, err error) {
	e.keep = false
	path := d.join(e.name)
	if errors.Is(err, fs.ErrNotExist) {
		w.tally.gone(path)
		return
	}
	d.incomplete.Store(true)
	w.tally.failed(path, err)
}

// lost names pieces of metadata that could not be read; the entry stays.
func (w *walk) lost(d *directory, e *entry, lost []fsmeta.Loss) {
	if len(lost) == 0 {
		return
	}
	e.node.Flags |= tree.Incomplete
	all := make([]error, len(lost))
	for i, l := range lost {
		all[i] = l
	}
	w.tally.failed(d.join(e.name), errors.Join(all...))
}
