package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"mahavishnu/repository"
	"mahavishnu/snapshot/chunker"
	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

const (
	// readSize is how much is read at once: enough to hide the call, little
	// enough to be still in the processor's cache when it is hashed.
	readSize = 512 << 10
	// page is what file systems allocate at least.
	page = 4 << 10
)

// reader carries content from a file into the repository: one goroutine reads a
// chunk, finds its end and stores it. Each worker has one.
type reader struct {
	session *repository.Session
	chunker *chunker.Chunker
	tally   *tally
	buf     []byte
	queue   *chunkQueue // nil: alone
}

// maxUnsized bounds a file that does not tell its size: some of /proc have no end.
const maxUnsized = 64 << 20

var errNoEnd = fmt.Errorf("its size is given as 0, and it has no end within %d MiB", maxUnsized>>20)

func newReader(session *repository.Session, c *chunker.Chunker, t *tally) *reader {
	// Room for a chunk of any size and a read behind it.
	return &reader{session: session, chunker: c, tally: t, buf: make([]byte, c.Params().Max+2*readSize)}
}

// content stores the first size bytes of f. What it returns is what was read:
// less than size when the file became shorter.
func (r *reader) content(ctx context.Context, f *os.File, size int64) (tree.Content, error) {
	if size == 0 {
		return r.unsized(ctx, f)
	}
	if size < int64(r.chunker.Params().Min) {
		if c, done, err := r.small(ctx, f, int(size)); done || err != nil {
			return c, err
		}
	}
	out := tree.NewContentWriter(treeSaver{r.session})
	for e, err := range fsmeta.Extents(f, size) {
		if err != nil {
			return tree.Content{}, err
		}
		if e.Hole {
			err = r.hole(ctx, f, e, size, out)
		} else {
			err = r.data(ctx, f, e, out)
		}
		if errors.Is(err, io.EOF) {
			break // shorter than it was
		}
		if err != nil {
			return tree.Content{}, err
		}
	}
	c, err := out.Finish(ctx)
	return c, fatal(err)
}

// unsized stores a file that says it is empty. Some file systems, /proc and many
// in user space, say so of files whose size they do not know.
func (r *reader) unsized(ctx context.Context, f *os.File) (tree.Content, error) {
	if n, err := f.ReadAt(r.buf[:page], 0); n == 0 {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return tree.Content{}, err
	}
	out := tree.NewContentWriter(treeSaver{r.session})
	// Nobody else reads it: such files may tell others something else.
	alone := line{reader: r, file: f, out: out}
	short, err := r.cut(ctx, f, fsmeta.Extent{Length: maxUnsized}, alone.add)
	if err == nil && short == nil {
		err = errNoEnd
	}
	if err != nil {
		return tree.Content{}, err
	}
	c, err := out.Finish(ctx)
	return c, fatal(err)
}

// hole adds a hole. Behind the end of a file that became shorter everything
// looks like one, so the last is compared with what there is now.
func (r *reader) hole(ctx context.Context, f *os.File, e fsmeta.Extent, size int64, out *tree.ContentWriter) error {
	if e.Offset+e.Length == size {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		e.Length = max(0, min(e.Length, info.Size()-e.Offset))
	}
	return fatal(out.Add(ctx, tree.Extent{Length: uint64(e.Length)}))
}

// small reads a file that is one chunk. It leaves a file that may have holes to
// the caller: only those with a page of zeros can.
func (r *reader) small(ctx context.Context, f *os.File, size int) (tree.Content, bool, error) {
	n, err := f.ReadAt(r.buf[:size], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return tree.Content{}, false, err
	}
	data := r.buf[:n]
	for p := data; len(p) >= page; p = p[page:] {
		if isZero(p[:page]) {
			return tree.Content{}, false, nil
		}
	}
	if n == 0 {
		return tree.Content{}, true, nil
	}
	e, err := r.save(ctx, data)
	return tree.Content{Extents: []tree.Extent{e}}, true, err
}

var zeros [page]byte

func isZero(p []byte) bool { return p[0] == 0 && bytes.Equal(p, zeros[:len(p)]) }

// data cuts and stores one run of data. io.EOF says that the file ended in it;
// what was there is stored.
func (r *reader) data(ctx context.Context, f *os.File, e fsmeta.Extent, out *tree.ContentWriter) error {
	l := r.newLine(f, e, out)
	short, err := r.cut(ctx, f, e, l.add)
	if err = l.end(ctx, err); err != nil {
		return err
	}
	return short
}

// cut calls fn for the chunks of one run, in order. What it passes is valid until
// fn returns. short is io.EOF when the file ended before the run did.
func (r *reader) cut(ctx context.Context, f *os.File, e fsmeta.Extent, fn func(ctx context.Context, offset int64, data []byte) error) (short, err error) {
	scan := r.chunker.Scanner()
	start, end := 0, 0 // of what is read and not yet stored
	off, left := e.Offset, e.Length
	for left > 0 && short == nil {
		if len(r.buf)-end < readSize {
			end = copy(r.buf, r.buf[start:end])
			start = 0
		}
		n, err := f.ReadAt(r.buf[end:end+int(min(left, readSize))], off)
		if errors.Is(err, io.EOF) {
			if int64(n) < left {
				short = io.EOF
			}
		} else if err != nil {
			return nil, err
		}
		end, off, left = end+n, off+int64(n), left-int64(n)
		for {
			n, ok := scan.Next(r.buf[start:end])
			if !ok {
				break
			}
			if err := fn(ctx, off-int64(end-start), r.buf[start:start+n]); err != nil {
				return nil, err
			}
			start += n
		}
	}
	if start < end {
		return short, fn(ctx, off-int64(end-start), r.buf[start:end])
	}
	return short, nil
}

func (r *reader) save(ctx context.Context, data []byte) (tree.Extent, error) {
	if err := context.Cause(ctx); err != nil {
		return tree.Extent{}, fatal(err)
	}
	id, saved, err := r.session.Save(ctx, repository.KindData, data)
	if err != nil {
		return tree.Extent{}, fatal(err)
	}
	r.tally.read.Add(int64(len(data)))
	r.tally.progress.Add(ProgressDelta{Bytes: int64(len(data)), Stored: int64(saved.Stored)})
	return tree.Extent{ID: tree.ID(id), Length: uint64(len(data))}, nil
}

// fatalError is one that ends the backup, as against one of a single file.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

func fatal(err error) error {
	if err == nil {
		return nil
	}
	return fatalError{err}
}
