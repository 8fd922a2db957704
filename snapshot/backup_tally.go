package snapshot

import (
	"sync"
	"sync/atomic"

	"mahavishnu/repository"
	"mahavishnu/snapshot/tree"
)

// compared is how an entry stands to the parent snapshot.
type compared int

const (
	isNew compared = iota
	isChanged
	isUnchanged
	comparisons
)

// tally sums up a backup while many goroutines work on it.
type tally struct {
	progress Progress

	files, dirs, others     [comparisons]atomic.Int64
	removed, excluded       atomic.Int64
	vanished, unreadable    atomic.Int64
	changed                 atomic.Int64
	bytes, read, trustedSum atomic.Int64

	mu            sync.Mutex
	unreadables   []FileError
	changedPaths  []string
	vanishedPaths []string
	parentErrors  []error
}

// entry counts an entry that goes into the snapshot and the size it adds to it.
func (t *tally) entry(n *tree.Node, how compared, size uint64) {
	switch n.Type {
	case tree.File:
		t.files[how].Add(1)
		t.bytes.Add(int64(size))
		t.progress.Add(ProgressDelta{Files: 1})
	case tree.Dir:
		t.dirs[how].Add(1)
		t.progress.Add(ProgressDelta{Dirs: 1})
	default:
		t.others[how].Add(1)
		t.progress.Add(ProgressDelta{Others: 1})
	}
}

// trusted counts content that did not have to be read.
func (t *tally) trusted(size uint64) {
	t.trustedSum.Add(int64(size))
	t.progress.Add(ProgressDelta{Unchanged: int64(size)})
}

// failed names an entry that could not be read, wholly or in part.
func (t *tally) failed(path string, err error) {
	t.unreadable.Add(1)
	t.progress.Add(ProgressDelta{Failed: 1})
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.unreadables) < MaxNamed {
		t.unreadables = append(t.unreadables, FileError{Path: path, Err: err})
	}
}

// gone names an entry that was deleted before it could be read.
func (t *tally) gone(path string) {
	t.vanished.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.vanishedPaths) < MaxNamed {
		t.vanishedPaths = append(t.vanishedPaths, path)
	}
}

// changedWhileRead names a file that did not hold still.
func (t *tally) changedWhileRead(path string) {
	t.changed.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.changedPaths) < MaxNamed {
		t.changedPaths = append(t.changedPaths, path)
	}
}

// parentFailed notes damage of the parent, which costs reading and no more.
func (t *tally) parentFailed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.parentErrors) < MaxNamed {
		t.parentErrors = append(t.parentErrors, err)
	}
}

func counts(c *[comparisons]atomic.Int64) Counts {
	return Counts{New: c[isNew].Load(), Changed: c[isChanged].Load(), Unchanged: c[isUnchanged].Load()}
}

// report copies the sums into r. Nothing may be counting any more.
func (t *tally) report(r *Result, s repository.Stats) {
	r.Unreadable, r.Changed, r.Vanished = t.unreadables, t.changedPaths, t.vanishedPaths
	r.ParentErrors = append(r.ParentErrors, t.parentErrors...)
	st := &r.Stats
	st.Files, st.Dirs, st.Others = counts(&t.files), counts(&t.dirs), counts(&t.others)
	st.Removed, st.Excluded, st.Vanished = t.removed.Load(), t.excluded.Load(), t.vanished.Load()
	st.Unreadable, st.ChangedWhileRead = t.unreadable.Load(), t.changed.Load()
	st.Bytes, st.BytesRead, st.BytesTrusted = t.bytes.Load(), t.read.Load(), t.trustedSum.Load()
	st.BytesNew, st.BytesStored = s.NewBytes, s.StoredBytes
	st.BytesReused, st.BytesAdopted, st.BytesTakenOver = s.ReusedBytes, s.AdoptedBytes, s.AdoptedStored
}
