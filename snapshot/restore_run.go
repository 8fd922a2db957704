package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"mahavishnu/repository"
	"mahavishnu/snapshot/fsmeta"
)

const (
	// runWrite is how much of a file is collected before it is written.
	runWrite = 2 << 20
	// runSpace has room for that, or for a blob of any size.
	runSpace = maxBlob + 2*fsmeta.Block
	// backSpace is how much is read back at once.
	backSpace = 1 << 20
	// directFrom is the size from which files are written past the page cache.
	directFrom = 1 << 20
	// runMemory is what one goroutine that fetches takes: a run, what is read
	// back of it, and the piece of a pack that is being decoded.
	runMemory = runSpace + backSpace + 2<<20
)

// run collects blobs that follow each other in a file, as they nearly always do
// in a pack. They are decoded one behind the other into the memory that is
// written from, in one large write.
type run struct {
	r      *restorer
	memory []byte // that space and back are taken from
	space  []byte
	back   []byte
	job    *job
	at     int64  // where data belongs in the file
	data   []byte // lies in space as its place in the file lies in a block
	parts  []*part
}

// runs keeps the memory of those not in use.
type runs struct {
	mu   sync.Mutex
	free []*run
}

func (s *runs) borrow(r *restorer) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.free)
	if n == 0 {
		return newRun(r)
	}
	w := s.free[n-1]
	s.free = s.free[:n-1]
	return w
}

func (s *runs) giveBack(w *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, w)
}

func newRun(r *restorer) *run {
	memory, err := fsmeta.Memory(runSpace + backSpace)
	if err != nil { // a limit on mappings; Go's heap may have room yet
		return &run{r: r, space: make([]byte, runSpace), back: make([]byte, backSpace)}
	}
	return &run{r: r, memory: memory, space: memory[:runSpace:runSpace], back: memory[runSpace:]}
}

// close gives the memory back. No run is in use.
func (s *runs) close() error {
	var errs []error
	for _, w := range s.free {
		if w.memory != nil {
			errs = append(errs, fsmeta.Free(w.memory))
		}
	}
	s.free = nil
	return errors.Join(errs...)
}

// room returns where a blob is to be decoded. What cannot be continued by it is
// written first.
func (w *run) room(p *part) []byte {
	if w.job != p.job || w.at+int64(len(w.data)) != p.at {
		w.flush()
		w.job, w.at = p.job, p.at
		w.data = w.space[p.at%fsmeta.Block:][:0]
	}
	if len(w.data)+int(p.Raw) > cap(w.data) {
		w.write(false)
	}
	n := len(w.data)
	if n+int(p.Raw) > cap(w.data) {
		return nil // larger than any blob can be
	}
	return w.data[n:][:0:p.Raw]
}

// take adds a blob.
func (w *run) take(p *part, data []byte) {
	w.room(p)                        // nobody asked when it was not decoded but found elsewhere
	w.data = append(w.data, data...) // in place, when it was decoded there
	w.parts = append(w.parts, p)
	if len(w.data) >= runWrite {
		w.write(false)
	}
}

// flush writes what was collected.
func (w *run) flush() {
	if w.job != nil {
		w.write(true)
		w.job = nil
	}
}

// write writes what was collected. The end of it that does not fill a block
// stays for the next write, unless all is asked for.
func (w *run) write(all bool) {
	n := len(w.data)
	if !all && w.job.node.Size >= directFrom {
		n -= int((w.at + int64(n)) % fsmeta.Block)
	}
	if n <= 0 {
		return
	}
	w.r.put(w.job, w.at, w.data[:n], w.back)
	rest := w.data[n:]
	w.at += int64(n)
	w.data = append(w.space[w.at%fsmeta.Block:][:0], rest...)
	left := 0
	for _, p := range w.parts {
		if p.at+int64(p.Raw) > w.at {
			w.parts[left] = p
			left++
			continue
		}
		w.r.done(p.job)
	}
	w.parts = w.parts[:left]
}

// put writes data in its place, and reads it back into the space of back when
// the restore is to be verified. Its failure is kept in the job.
func (r *restorer) put(j *job, at int64, data, back []byte) {
	j.mu.Lock()
	j.whole = at == 0 && uint64(len(data)) == j.node.Size
	j.mu.Unlock()
	err := r.withFile(j, func(f *os.File) error {
		head, blocks := r.blocks(j, at, data)
		if blocks > 0 {
			err := writeFull(j.direct, data[head:head+blocks], at+int64(head))
			if fsmeta.NotDirect(err) {
				r.cached.Store(true)
				head, blocks, err = 0, 0, nil
			}
			if err != nil {
				return err
			}
		}
		if err := writeAround(f, at, data, head, blocks); err != nil {
			return err
		}
		if !r.o.Verify {
			return nil
		}
		if err := r.same(j.direct, data[head:head+blocks], at+int64(head), back); err != nil {
			return err
		}
		return errors.Join(r.same(f, data[:head], at, back), r.same(f, data[head+blocks:], at+int64(head+blocks), back))
	})
	if err != nil {
		return
	}
	r.o.Progress.Add(ProgressDelta{Bytes: int64(len(data))})
	j.mu.Lock()
	defer j.mu.Unlock()
	j.written += int64(len(data))
}

// blocks returns which bytes of data are whole blocks of the file that go past
// the page cache: each byte that passes through it is copied once more, into
// memory that has to be found first, and pushes out what this machine works with.
func (r *restorer) blocks(j *job, at int64, data []byte) (head, n int) {
	if j.direct == nil || r.cached.Load() {
		return 0, 0
	}
	head = int(-at & (fsmeta.Block - 1))
	if head >= len(data) || !fsmeta.Aligned(data[head:]) {
		return 0, 0
	}
	return head, (len(data) - head) &^ (fsmeta.Block - 1)
}

// writeAround writes what lies before and behind the blocks.
func writeAround(f *os.File, at int64, data []byte, head, blocks int) error {
	if head > 0 {
		if err := writeFull(f, data[:head], at); err != nil {
			return err
		}
	}
	tail := data[head+blocks:]
	if len(tail) == 0 {
		return nil
	}
	if err := writeFull(f, tail, at+int64(head+blocks)); err != nil {
		return err
	}
	if len(tail) >= directFrom {
		// The disk can begin now; else all of it is waited for at the end.
		fsmeta.StartWriteback(f, at+int64(head+blocks), int64(len(tail)))
	}
	return nil
}

func writeFull(f *os.File, data []byte, at int64) error {
	_, err := f.WriteAt(data, at)
	return err
}

// same is [sameBytes], and counts what it found to be right.
func (r *restorer) same(f *os.File, want []byte, at int64, back []byte) error {
	err := sameBytes(f, want, at, back)
	if err == nil {
		r.readBack.Add(int64(len(want)))
	}
	return err
}

// sameBytes reads back what was written. A file that was written past the page
// cache is read back from its disk.
func sameBytes(f *os.File, want []byte, at int64, back []byte) error {
	for len(want) > 0 {
		got := back[:min(len(back), len(want))]
		if _, err := f.ReadAt(got, at); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read back: %w", err)
		}
		if !bytes.Equal(got, want[:len(got)]) {
			return fmt.Errorf("%w: what was written at byte %d reads back differently: the target's storage or memory is at fault", repository.ErrDamaged, at)
		}
		want, at = want[len(got):], at+int64(len(got))
	}
	return nil
}
