package snapshot

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

// shareRun is from which length of a run of data on its chunks are shared.
const shareRun = 4 << 20

// chunkQueue lets workers that have nothing to do help with a large file. Its
// reader finds the cuts, which is a tenth of the work and has to go from the
// front to the back, and offers chunks to others. They read what they take once
// more, from the system's cache: to hand over an offset is cheaper than to keep
// buffers for it.
type chunkQueue struct {
	tasks chan *chunkTask
	idle  atomic.Int32 // workers that wait for something to do
	from  int64        // length of a run whose chunks are shared
}

func newChunkQueue(workers int) *chunkQueue {
	return &chunkQueue{tasks: make(chan *chunkTask, 2*workers), from: shareRun}
}

// offer gives a task to whoever is idle. It takes none when all are busy: then
// the caller does the work itself, with the bytes it has.
func (q *chunkQueue) offer(t *chunkTask) bool {
	if len(q.tasks) >= 2*int(q.idle.Load()) {
		return false
	}
	select {
	case q.tasks <- t:
		return true
	default:
		return false
	}
}

// chunkTask is a chunk of a file to be read and stored.
type chunkTask struct {
	file   *os.File
	offset int64
	length int

	done   chan struct{} // closed when what follows is set
	extent tree.Extent   // of no length: the file ends before it
	err    error         // io.EOF: it ends within it
}

func (t *chunkTask) run(ctx context.Context, r *reader) {
	defer close(t.done)
	data := r.buf[:t.length]
	n, err := t.file.ReadAt(data, t.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
		return
	}
	if n > 0 {
		t.extent, t.err = r.save(ctx, data[:n])
	}
	if n < t.length && t.err == nil {
		t.err = io.EOF
	}
}

// line keeps the chunks of one run in their order while several workers store
// them.
type line struct {
	reader  *reader
	file    *os.File
	out     *tree.ContentWriter
	shared  bool
	waiting []*chunkTask // offered, with those stored since between them
}

// maxWaiting bounds the chunks of a line that wait for one before them.
const maxWaiting = 256

func (r *reader) newLine(f *os.File, e fsmeta.Extent, out *tree.ContentWriter) *line {
	return &line{reader: r, file: f, out: out, shared: r.queue != nil && e.Length >= r.queue.from}
}

// add stores the chunk of the file at offset, or lets another worker do it.
func (l *line) add(ctx context.Context, offset int64, data []byte) error {
	if l.shared && len(l.waiting) < maxWaiting {
		t := &chunkTask{file: l.file, offset: offset, length: len(data), done: make(chan struct{})}
		if l.reader.queue.offer(t) {
			l.waiting = append(l.waiting, t)
			return nil
		}
	}
	e, err := l.reader.save(ctx, data)
	if err != nil {
		return err
	}
	if len(l.waiting) == 0 {
		return fatal(l.out.Add(ctx, e))
	}
	t := &chunkTask{extent: e, done: make(chan struct{})}
	close(t.done)
	l.waiting = append(l.waiting, t)
	return l.pass(ctx, false)
}

// pass hands on, in their order, the chunks that are stored; with all set, it
// waits for the others, and helps meanwhile: the reader's buffer must be free then.
func (l *line) pass(ctx context.Context, all bool) error {
	for len(l.waiting) > 0 {
		t := l.waiting[0]
		select {
		case <-t.done:
		default:
			if !all {
				return nil
			}
			l.await(ctx, t)
		}
		l.waiting = l.waiting[1:]
		if t.extent.Length > 0 {
			if err := l.out.Add(ctx, t.extent); err != nil {
				return fatal(err)
			}
		}
		if t.err != nil {
			return t.err
		}
	}
	return nil
}

func (l *line) await(ctx context.Context, t *chunkTask) {
	for {
		select {
		case <-t.done:
			return
		case other := <-l.reader.queue.tasks:
			other.run(ctx, l.reader)
		}
	}
}

// end passes on everything, or after an error waits until nobody reads the file
// any more.
func (l *line) end(ctx context.Context, err error) error {
	if err == nil {
		err = l.pass(ctx, true)
	}
	for _, t := range l.waiting {
		l.await(ctx, t)
	}
	l.waiting = nil
	return err
}
