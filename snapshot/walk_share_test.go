package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"mahavishnu/repository"
	"mahavishnu/snapshot/chunker"
	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

// largeRun is what these tests take for a large run of data, in bytes.
const largeRun = 256 << 10

// crew is some readers of one session. The first is the tests' own, the others
// take what it offers.
type crew struct {
	*store
	session *repository.Session
	owner   *reader
	alone   *reader
}

func newCrew(t *testing.T, helpers int) *crew {
	t.Helper()
	s := newStore(t)
	session, err := s.repo.Session(t.Context(), repository.SessionOptions{})
	s.must(err)
	cut, err := chunker.New([]byte("a secret of 32 bytes for testing"), chunker.Params{Min: 4 << 10, Avg: 16 << 10, Max: 64 << 10})
	s.must(err)
	c := &crew{store: s, session: session, owner: newReader(session, cut, &tally{progress: progressOr(nil)})}
	c.alone = newReader(session, cut, c.owner.tally)
	c.owner.queue = newChunkQueue(helpers + 1)
	c.owner.queue.from = largeRun
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range helpers {
		r := newReader(session, cut, c.owner.tally)
		group.Go(func() {
			w := walk{queue: c.owner.queue}
			if err := w.work(ctx, r); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		group.Wait()
		_, err := session.Abort(context.WithoutCancel(t.Context()))
		s.must(err)
	})
	return c
}

func (c *crew) file(data []byte) *os.File {
	c.Helper()
	path := filepath.Join(c.TempDir(), "file")
	c.must(os.WriteFile(path, data, 0o600))
	f, err := os.Open(path)
	c.must(err)
	c.Cleanup(func() { f.Close() })
	return f
}

// lists keeps the blobs of long lists of extents.
type lists map[tree.ID][]byte

func (l lists) Save(_ context.Context, data []byte) (tree.ID, error) {
	id := tree.ID(sha256.Sum256(data))
	l[id] = bytes.Clone(data)
	return id, nil
}

func (l lists) Load(_ context.Context, id tree.ID, _ []byte) ([]byte, error) { return l[id], nil }

// extents stores one run of the file and returns what it became.
func (c *crew) extents(r *reader, f *os.File, e fsmeta.Extent) ([]tree.Extent, error) {
	blobs := lists{}
	out := tree.NewContentWriter(blobs)
	err := r.data(c.Context(), f, e, out)
	content, finishErr := out.Finish(c.Context())
	c.must(finishErr)
	var all []tree.Extent
	for next := tree.NewExtents(blobs, content); ; {
		e, err := next.Next(c.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		c.must(err)
		all = append(all, e)
	}
	return all, err
}

// Whoever stores the chunks of a file, they are those that one reader finds.
func TestSharedFilesAreCutAsByOne(t *testing.T) {
	c := newCrew(t, 3)
	random := []byte(noise(1, 3*largeRun))
	rapid.Check(t, func(rt *rapid.T) {
		var data []byte
		for range rapid.IntRange(1, 5).Draw(rt, "parts") {
			n := rapid.IntRange(1, largeRun).Draw(rt, "length")
			switch rapid.IntRange(0, 2).Draw(rt, "kind") {
			case 0:
				from := rapid.IntRange(0, len(random)-n).Draw(rt, "from")
				data = append(data, random[from:from+n]...)
			case 1:
				data = append(data, make([]byte, n)...)
			case 2:
				word := random[:rapid.IntRange(1, 100).Draw(rt, "word")]
				data = append(data, bytes.Repeat(word, n/len(word)+1)...)
			}
		}
		data = append(data, random[:max(0, largeRun-len(data))]...)
		f := c.file(data)
		e := fsmeta.Extent{Offset: rapid.Int64Range(0, 1000).Draw(rt, "offset")}
		e.Length = int64(len(data)) - e.Offset
		want, err := c.extents(c.alone, f, e)
		c.must(err)
		got, err := c.extents(c.owner, f, e)
		c.must(err)
		if !slices.Equal(got, want) {
			rt.Fatalf("%d bytes: %d chunks, %d when cut by one reader", len(data), len(got), len(want))
		}
	})
}

func TestIdleReadersHelp(t *testing.T) {
	c := newCrew(t, 2)
	f := c.file([]byte(noise(2, 8*largeRun)))
	var helped int
	for range 20 { // the helpers may be late once
		l := c.owner.newLine(f, fsmeta.Extent{Length: 8 * largeRun}, tree.NewContentWriter(lists{}))
		_, err := c.owner.cut(t.Context(), f, fsmeta.Extent{Length: 8 * largeRun}, func(ctx context.Context, offset int64, data []byte) error {
			before := len(l.waiting)
			err := l.add(ctx, offset, data)
			if n := len(l.waiting); n > before && l.waiting[n-1].file != nil {
				helped++
			}
			return err
		})
		c.must(l.end(t.Context(), err))
		if helped > 0 {
			return
		}
	}
	t.Error("nobody took a chunk of a large file")
}

// A file that becomes shorter ends where it ends now, whoever finds out.
func TestSharedFileBecomesShorter(t *testing.T) {
	c := newCrew(t, 2)
	data := []byte(noise(3, 2*largeRun))
	f := c.file(data)
	whole, err := c.extents(c.alone, f, fsmeta.Extent{Length: int64(len(data))})
	c.must(err)
	at := int64(whole[0].Length + whole[1].Length/2)
	c.must(os.Truncate(f.Name(), at))

	out := tree.NewContentWriter(lists{})
	l := c.owner.newLine(f, fsmeta.Extent{Length: largeRun}, out)
	offset := int64(0)
	for _, e := range whole[:4] { // found before it became shorter
		task := &chunkTask{file: f, offset: offset, length: int(e.Length), done: make(chan struct{})}
		c.owner.queue.tasks <- task
		l.waiting = append(l.waiting, task)
		offset += int64(e.Length)
	}
	if err := l.end(t.Context(), nil); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end of the file", err)
	}
	content, err := out.Finish(t.Context())
	c.must(err)
	if content.Length() != uint64(at) || content.Extents[0] != whole[0] {
		t.Errorf("%d bytes are kept of %d", content.Length(), at)
	}
}

func TestSharedFileCannotBeRead(t *testing.T) {
	c := newCrew(t, 2)
	f := c.file([]byte(noise(4, largeRun)))
	out := tree.NewContentWriter(lists{})
	l := c.owner.newLine(f, fsmeta.Extent{Length: largeRun}, out)
	c.must(f.Close())
	for range 5 {
		task := &chunkTask{file: f, length: 100, done: make(chan struct{})}
		c.owner.queue.tasks <- task
		l.waiting = append(l.waiting, task)
	}
	tasks := slices.Clone(l.waiting)
	if err := l.end(t.Context(), nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want that it is closed", err)
	}
	for i, task := range tasks {
		select {
		case <-task.done:
		default:
			t.Errorf("chunk %d may still be read after the end", i)
		}
	}
}
