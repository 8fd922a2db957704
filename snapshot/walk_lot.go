package snapshot

import (
	"context"
	"sync/atomic"

	"mahavishnu/snapshot/tree"
)

const (
	// lotSize is how many names go to a worker at once: passing them one by
	// one would cost as much as examining them.
	lotSize = 32
	// shareSize is from which size of a file on a worker lets others have the
	// rest of its lot.
	shareSize = 1 << 20
)

// entry is one name of a directory on its way into the tree.
type entry struct {
	name   string
	old    *tree.Node // in the parent
	node   tree.Node
	keep   bool          // the node is complete and goes into the snapshot
	dir    bool          // a directory, which a walker has yet to complete
	walked chan struct{} // of one with a walker of its own: closed when complete
}

// lot is some successive names of one directory. Several workers may be on
// it; each entry is examined by one.
type lot struct {
	dir     *directory
	entries []entry
	next    atomic.Int32 // the first entry nobody has taken
	left    atomic.Int32 // entries not yet examined
	done    chan struct{}
}

func newLot(ctx context.Context, d *directory, names []string, before *merge) *lot {
	b := &lot{dir: d, entries: make([]entry, len(names)), done: make(chan struct{})}
	for i, name := range names {
		b.entries[i].name = name
		b.entries[i].old = before.find(ctx, name)
	}
	b.left.Store(int32(len(names)))
	return b
}

// work examines entries until there are no more, and helps with large files.
func (w *walk) work(ctx context.Context, r *reader) error {
	for {
		w.queue.idle.Add(1)
		select {
		case b := <-w.jobs:
			w.queue.idle.Add(-1)
			if err := w.examineAll(ctx, b, r); err != nil {
				return err
			}
		case t := <-w.queue.tasks:
			w.queue.idle.Add(-1)
			t.run(ctx, r) // who offered it hears of errors
		case <-w.quit:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *walk) examineAll(ctx context.Context, b *lot, r *reader) error {
	for {
		i := int(b.next.Add(1)) - 1
		if i >= len(b.entries) {
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := w.examine(ctx, b, &b.entries[i], r); err != nil {
			return err
		}
		if b.left.Add(-1) == 0 {
			close(b.done)
		}
	}
}

// share offers what is left of a lot to other workers, because this one will
// be busy for long. When the queue is full they have enough to do.
func (w *walk) share(b *lot) {
	if int(b.next.Load()) >= len(b.entries) {
		return
	}
	select {
	case w.jobs <- b:
	default:
	}
}
