package snapshot

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"mahavishnu/snapshot/exclude"
	"mahavishnu/snapshot/tree"
)

// walk turns directories into trees.
//
// Two kinds of goroutine work on it. Walkers list directories, look the names
// up in the parent and write entries in order; there is one to begin with, and
// more while slots are free, each in a subtree of its own. Workers take lots
// of names from all walkers, examine the entries and read their content, and
// when idle chunks of large files that others read. A walker waits for workers and
// for walkers below it; a worker for another that reads the same inode, and for a
// chunk of its own file that another is storing, which waits for nobody: so nothing
// waits in a circle.
//
// Memory is bounded by the number of slots and workers times what each holds:
// a walker a directory's names and maxLots lots for each level above it, a
// worker one chunk.
type walk struct {
	opts    *BackupOptions
	matcher *exclude.Matcher
	parent  *parent
	saver   treeSaver
	tally   *tally
	links   links
	device  uint64 // of the root
	storage inode  // the repository's own directory; zero when it is elsewhere

	jobs  chan *lot
	queue *chunkQueue
	slots chan struct{} // filled by each walker but the first
	quit  chan struct{} // closed when there will be no more jobs
	group *errgroup.Group

	mu        sync.Mutex
	abandoned []*directory
}

// maxLots is how many lots of one directory may be under way, so that
// small files go on while a large one is read.
const maxLots = 64

// run walks the tree below root. When only is not empty, it is the one name to
// take.
func (w *walk) run(ctx context.Context, root *directory, only string, readers []*reader) (tree.Content, error) {
	w.jobs = make(chan *lot, 2*len(readers))
	w.queue = newChunkQueue(len(readers))
	w.slots = make(chan struct{}, 2*len(readers))
	w.quit = make(chan struct{})
	w.group, ctx = errgroup.WithContext(ctx)
	for _, r := range readers {
		r.queue = w.queue
		w.group.Go(func() error { return w.work(ctx, r) })
	}
	var content tree.Content
	w.group.Go(func() error {
		defer close(w.quit)
		names := []string{only}
		if only == "" {
			var err error
			if names, err = w.names(root); err != nil {
				return err
			}
		}
		var err error
		content, err = w.directory(ctx, root, w.parent.root, names)
		return err
	})
	err := w.group.Wait()
	for _, d := range w.abandoned {
		d.close()
	}
	return content, err
}

// abandon leaves a directory open until all goroutines have ended: when a walk
// ends early, workers may still be in it.
func (w *walk) abandon(d *directory) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abandoned = append(w.abandoned, d)
}

// names lists a directory in byte order. With an error the names are those that
// could be read.
func (w *walk) names(d *directory) ([]string, error) {
	names, err := d.dir.Names()
	slices.Sort(names)
	if w.opts.ExcludeCaches {
		if _, found := slices.BinarySearch(names, exclude.CacheTag); found && isCache(d) {
			w.tally.excluded.Add(int64(len(names) - 1))
			return []string{exclude.CacheTag}, nil
		}
	}
	return names, err
}

// isCache reports whether a directory's tag is real. One that cannot be read
// marks nothing, and is reported when its turn comes.
func isCache(d *directory) bool {
	f, err := d.dir.Open(exclude.CacheTag)
	if err != nil {
		return false
	}
	defer f.Close()
	tag, err := exclude.IsCacheTag(f)
	return tag && err == nil
}

// directory walks one directory and all below it. old is the parent's node for
// it, or nil.
func (w *walk) directory(ctx context.Context, d *directory, old *tree.Node, names []string) (tree.Content, error) {
	out := tree.NewWriter(w.saver)
	before := w.parent.merge(old, w.tally)
	var queue []*lot
	for len(names) > 0 || len(queue) > 0 {
		if len(names) > 0 {
			if err := d.open(); err != nil {
				w.tally.failed(d.path, err)
				d.incomplete.Store(true)
				names = nil
				continue
			}
		}
		for len(names) > 0 && len(queue) < maxLots {
			n := min(lotSize, len(names))
			b := newLot(ctx, d, names[:n], before)
			names = names[n:]
			select {
			case w.jobs <- b:
			case <-ctx.Done():
				return tree.Content{}, context.Cause(ctx)
			}
			queue = append(queue, b)
		}
		if err := w.examined(ctx, d, queue); err != nil {
			return tree.Content{}, err
		}
		if err := w.collect(ctx, queue[0], out); err != nil {
			return tree.Content{}, err
		}
		queue = slices.Delete(queue, 0, 1)
	}
	before.rest(ctx)
	return out.Finish(ctx)
}

// examined waits for the first lot of a directory; in a deep one for all, because
// it is closed while those below are walked.
func (w *walk) examined(ctx context.Context, d *directory, queue []*lot) error {
	if d.depth < keepOpen {
		queue = queue[:1]
	}
	for _, b := range queue {
		select {
		case <-b.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// collect writes the entries of a finished lot, walking its directories.
func (w *walk) collect(ctx context.Context, b *lot, out *tree.Writer) error {
	var dirs []*entry
	for i := range b.entries {
		if b.entries[i].dir {
			dirs = append(dirs, &b.entries[i])
		}
	}
	for i := range b.entries {
		e := &b.entries[i]
		if e.dir { // and not by keep, which its own walker may be changing
			dirs = dirs[1:]
			if err := w.descend(ctx, b.dir, e, dirs); err != nil {
				return err
			}
		}
		if !e.keep {
			continue
		}
		if err := out.Add(ctx, &e.node); err != nil {
			return err
		}
	}
	return nil
}

// descend walks the directory e, or waits for the walker that does. Meanwhile
// it gives the directories that come next to walkers of their own, as far as
// there are slots.
func (w *walk) descend(ctx context.Context, d *directory, e *entry, next []*entry) error {
	if d.depth >= keepOpen {
		return w.subdirectory(ctx, d, e)
	}
	for len(next) > 0 && next[0].walked != nil {
		next = next[1:]
	}
	if e.walked == nil {
		for len(next) > 0 && w.tryStart(ctx, d, next[0]) {
			next = next[1:]
		}
		return w.subdirectory(ctx, d, e)
	}
	for {
		slots := w.slots
		if len(next) == 0 {
			slots = nil
		}
		select {
		case <-e.walked:
			return nil
		case slots <- struct{}{}:
			w.start(ctx, d, next[0])
			next = next[1:]
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *walk) tryStart(ctx context.Context, d *directory, e *entry) bool {
	select {
	case w.slots <- struct{}{}:
		w.start(ctx, d, e)
		return true
	default:
		return false
	}
}

// start gives e a walker; the caller has taken the slot.
func (w *walk) start(ctx context.Context, d *directory, e *entry) {
	e.walked = make(chan struct{})
	w.group.Go(func() error {
		defer func() { <-w.slots }()
		if err := w.subdirectory(ctx, d, e); err != nil {
			return err // the end of ctx tells those who wait
		}
		close(e.walked)
		return nil
	})
}

// subdirectory completes the node of the directory e, with all below it. One
// that cannot be entered stays in the tree, empty, and is named.
func (w *walk) subdirectory(ctx context.Context, d *directory, e *entry) (err error) {
	if err := d.open(); err != nil {
		w.drop(d, e, err)
		return nil
	}
	sub, err := d.dir.Sub(e.name)
	if errors.Is(err, fs.ErrNotExist) {
		w.drop(d, e, err)
		return nil
	}
	path := d.join(e.name)
	if err != nil {
		w.tally.failed(path, err)
		e.node.Flags |= tree.Incomplete
		return w.finish(ctx, d, e)
	}
	child := &directory{up: d, name: e.name, path: path, depth: d.depth + 1, dir: sub}
	defer func() {
		if err != nil {
			w.abandon(child)
			return
		}
		child.close()
	}()
	d.release()
	self, lost, err := sub.ReadSelf()
	if err != nil {
		w.drop(d, e, err)
		return nil
	}
	self.Name = e.node.Name
	e.node = self
	child.id = inode{self.Device, self.Inode}
	w.lost(d, e, lost)
	if w.opts.OneFileSystem && self.Device != w.device {
		return w.finish(ctx, nil, e)
	}
	names, err := w.names(child)
	if errors.Is(err, fs.ErrNotExist) { // deleted since it was opened
		w.drop(d, e, err)
		return nil
	}
	if err != nil {
		w.tally.failed(path, err)
		child.incomplete.Store(true)
	}
	if e.node.Content, err = w.directory(ctx, child, e.old, names); err != nil {
		return err
	}
	if child.incomplete.Load() {
		e.node.Flags |= tree.Incomplete
	}
	return w.finish(ctx, nil, e)
}
