package snapshot

import (
	"container/list"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

// dirNode is a directory being restored. It lives until everything below it is
// done; then it gets its metadata, and its parent is told. So directories get
// their times last, the deepest first, in parallel.
type dirNode struct {
	parent *dirNode // nil for the target itself
	name   string
	path   string    // in the snapshot
	node   tree.Node // without content

	// What the walker knows; nobody else looks before made is settled.
	made     bool  // it is in the target
	fresh    bool  // made by this restore: nothing in it can be older
	absent   bool  // a dry run would make it
	restored bool  // its own metadata is asked for
	err      error // it could not be made, and that was reported

	// pending counts the walk through it, its subdirectories, and entries
	// that are not done.
	pending atomic.Int64
}

// leave drops one reference; whoever drops the last one finishes the directory.
func (r *restorer) leave(d *dirNode) {
	for d != nil && d.pending.Add(-1) == 0 {
		r.finishDir(d)
		d = d.parent
	}
}

// finishDir gives a directory its metadata.
func (r *restorer) finishDir(d *dirNode) {
	defer r.dirs.forget(d)
	if !d.made || d.err != nil {
		return
	}
	if !d.restored {
		return // it only leads to what was asked for, and was there before
	}
	r.log.count(func(rep *RestoreReport) { rep.Dirs++ })
	r.o.Progress.Add(ProgressDelta{Dirs: 1})
	if r.o.DryRun || r.ctx.Err() != nil {
		return // interrupted: it stays closed to others until restored whole
	}
	h, release, err := r.dirs.get(d)
	if err != nil {
		r.fail(d.path, err)
		return
	}
	defer release()
	r.applyMeta(func() string { return d.path }, &d.node, h.ApplySelf)
}

// applyMeta sets metadata by the given means and reports what was lost.
func (r *restorer) applyMeta(path func() string, n *tree.Node, apply func(*tree.Node, fsmeta.Ownership) ([]fsmeta.Loss, error)) {
	var lost []error
	if len(n.Xattrs) > 0 {
		lost = loadXattrs(r.ctx, r.loader, n)
	}
	losses, err := apply(n, r.o.Owners)
	for _, l := range losses {
		lost = append(lost, l)
	}
	if err = errors.Join(append(lost, err)...); err != nil {
		r.log.issue(Issue{Kind: IssueLost, Path: path(), Err: err})
	}
}

// dirHandles keeps the directories in use open, and some more: opening one
// takes a call for each directory above it that is not open.
type dirHandles struct {
	root *fsmeta.Dir
	mu   sync.Mutex
	open map[*dirNode]*list.Element // of *dirHandle
	lru  *list.List                 // most recently used first
}

type dirHandle struct {
	of   *dirNode
	dir  *fsmeta.Dir
	refs int
}

// openDirs is how many directories stay open though nobody uses them.
const openDirs = 128

func newDirHandles(root *fsmeta.Dir) *dirHandles {
	return &dirHandles{root: root, open: map[*dirNode]*list.Element{}, lru: list.New()}
}

// get opens a directory that is in the target. No component of its path may be
// a symbolic link, whoever put it there.
func (c *dirHandles) get(d *dirNode) (*fsmeta.Dir, func(), error) {
	if d.parent == nil {
		if c.root == nil {
			return nil, nil, os.ErrNotExist
		}
		return c.root, func() {}, nil
	}
	if h := c.use(d, nil); h != nil {
		return h.dir, func() { c.release(h) }, nil
	}
	parent, release, err := c.get(d.parent)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	dir, err := parent.Sub(d.name)
	if err != nil {
		return nil, nil, err
	}
	h := c.use(d, dir)
	return h.dir, func() { c.release(h) }, nil
}

// use takes the open handle of d, or makes one of opened when there is none.
func (c *dirHandles) use(d *dirNode, opened *fsmeta.Dir) *dirHandle {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.open[d]; ok {
		if opened != nil {
			_ = opened.Close() // somebody else was faster
		}
		h := e.Value.(*dirHandle)
		h.refs++
		c.lru.MoveToFront(e)
		return h
	}
	if opened == nil {
		return nil
	}
	h := &dirHandle{of: d, dir: opened, refs: 1}
	c.open[d] = c.lru.PushFront(h)
	return h
}

func (c *dirHandles) release(h *dirHandle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.refs--
	for e := c.lru.Back(); e != nil && c.lru.Len() > openDirs; {
		before := e.Prev()
		if old := e.Value.(*dirHandle); old.refs == 0 {
			c.drop(e, old)
		}
		e = before
	}
}

// forget closes a directory that is done with.
func (c *dirHandles) forget(d *dirNode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.open[d]; ok {
		if h := e.Value.(*dirHandle); h.refs == 0 {
			c.drop(e, h)
		}
	}
}

func (c *dirHandles) drop(e *list.Element, h *dirHandle) {
	c.lru.Remove(e)
	delete(c.open, h.of)
	_ = h.dir.Close() // only read through: nothing to lose
}

func (c *dirHandles) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.lru.Front(); e != nil; e = c.lru.Front() {
		c.drop(e, e.Value.(*dirHandle))
	}
	if c.root != nil {
		_ = c.root.Close()
	}
}
