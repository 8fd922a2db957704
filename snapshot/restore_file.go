package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"mahavishnu/fault"
	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
)

const (
	// partPrefix begins the name under which a file is written until it is
	// whole. The rest follows from snapshot and name, so that the same restore
	// finds it again.
	partPrefix = ".mahavishnu-part-"
	// damagedSuffix ends the name under which the whole parts of a damaged
	// file are left.
	damagedSuffix = ".mahavishnu-damaged"
	maxName       = 255
	// resumable is the size from which an unfinished file is worth keeping,
	// and from which a file that exists is changed in its place.
	resumable = 16 << 20
	// openJobs is how many files stay open between two of their parts.
	openJobs = 128
	// keptRanges bounds the list of damaged ranges of a file.
	keptRanges = 100
)

// base is what a file is made from.
type base uint8

const (
	baseNothing base = iota // a new file
	basePart                // what an interrupted restore left
	baseOld                 // the file that is there, set aside meanwhile
)

// job is an entry, other than a directory, on its way.
type job struct {
	dir  *dirNode
	name string
	node tree.Node
	old  *tree.Node // what is in the target under the name, or nil
	lead *leader    // when the entry has more names

	// pending counts the planning and each part not yet written. Whoever
	// finishes the last one finishes the entry.
	pending atomic.Int64

	mu      sync.Mutex
	base    base
	started bool   // the part file is in place
	part    string // see restorer.part
	f       *os.File
	direct  *os.File // the same past the page cache, or nil
	whole   bool     // all of it is written at once: it needs no size beforehand
	users   int
	err     error // the target did not take it
	lost    []Range
	lostLen int64
	lostErr error
	written int64 // fetched, or in a dry run to be fetched
	kept    int64 // found in the target
	same    bool  // the content is there, nothing was written
}

func (j *job) path() string { return join(j.dir.path, j.name) }

// partName is where an entry called name is prepared. The snapshot is part of
// it, so that it cannot be the name of an entry of that snapshot, not even when
// the source was itself a half restored directory.
func (r *restorer) partName(name string) string {
	sum := sha256.Sum256([]byte(r.repo.ID() + "/" + r.snap.ID + "/" + name))
	return partPrefix + hex.EncodeToString(sum[:10])
}

// part is the job's own.
func (r *restorer) part(j *job) string {
	if j.part == "" {
		j.part = r.partName(j.name)
	}
	return j.part
}

func isPart(name string) bool {
	return len(name) == len(partPrefix)+20 && strings.HasPrefix(name, partPrefix)
}

func isDamaged(name string) bool { return strings.HasSuffix(name, damagedSuffix) }

// damagedName is where the remains of an entry called name go. A name that
// would become too long is cut and told apart by a digest.
func damagedName(name string) string {
	if len(name)+len(damagedSuffix) <= maxName {
		return name + damagedSuffix
	}
	sum := sha256.Sum256([]byte(name))
	digest := "-" + hex.EncodeToString(sum[:8])
	return name[:maxName-len(damagedSuffix)-len(digest)] + digest + damagedSuffix
}

// damage notes that a run of the file cannot be had from the repository.
func (j *job) damage(at, length int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lostLen += length
	if j.lostErr == nil {
		j.lostErr = err
	}
	if n := len(j.lost); n > 0 && j.lost[n-1].Offset+j.lost[n-1].Length == at {
		j.lost[n-1].Length += length
	} else if n < keptRanges {
		j.lost = append(j.lost, Range{at, length})
	}
}

// withFile opens the part file if need be and lends it to use. An error is
// final for the job; one about a full target for the whole restore.
func (r *restorer) withFile(j *job, use func(*os.File) error) error {
	f, err := r.acquire(j)
	if err == nil {
		err = use(f)
		r.release(j)
	}
	if err != nil {
		if full := targetFull(r.o.Target, err); full != nil {
			r.abort(full)
		}
		j.mu.Lock()
		if j.err == nil {
			j.err = err
		}
		j.mu.Unlock()
	}
	return err
}

func (r *restorer) acquire(j *job) (*os.File, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil, j.err
	}
	if j.f == nil {
		if err := r.open(j); err != nil {
			return nil, err
		}
		r.files.opened(j)
	}
	j.users++
	return j.f, nil
}

func (r *restorer) release(j *job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.users--; j.users == 0 && r.files.tooMany() {
		r.closeFile(j)
	}
}

// closeFile closes the part file for now; j.mu is held.
func (r *restorer) closeFile(j *job) {
	if j.f == nil {
		return
	}
	if err := j.f.Close(); err != nil && j.err == nil {
		j.err = err
	}
	j.f = nil
	if j.direct != nil {
		if err := j.direct.Close(); err != nil && j.err == nil {
			j.err = err
		}
		j.direct = nil
	}
	r.files.closed()
}

// open opens the part file, the first time after putting it in place; j.mu is
// held. The file's own name never stands for something half written: a file
// that is changed in place is first set aside under the part's name.
func (r *restorer) open(j *job) error {
	d, release, err := r.dirs.get(j.dir)
	if err != nil {
		return err
	}
	defer release()
	part := r.part(j)
	if !j.started {
		switch j.base {
		case baseOld:
			err = d.Rename(j.name, part)
		case baseNothing:
			j.f, err = d.Create(part, &j.node)
			if errors.Is(err, fs.ErrExist) {
				// Left by an earlier run, and not worth going on with.
				if err = d.Remove(part); err == nil {
					j.f, err = d.Create(part, &j.node)
				}
			}
		}
		if err != nil {
			return err
		}
	}
	if j.f == nil {
		if j.f, err = d.OpenWrite(part); err != nil {
			return err
		}
	}
	if j.node.Size >= directFrom && !r.cached.Load() {
		j.direct, _ = fsmeta.Direct(j.f) // else through the cache
	}
	if j.started {
		return nil
	}
	j.started = true
	if j.base == baseNothing && (j.whole || j.node.Size == 0) {
		return nil
	}
	return j.f.Truncate(int64(j.node.Size))
}

// openFiles counts the open part files, and knows those begun.
type openFiles struct {
	mu    sync.Mutex
	open  int
	begun map[*job]bool
}

func (o *openFiles) opened(j *job) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open++
	if o.begun == nil {
		o.begun = map[*job]bool{}
	}
	o.begun[j] = true
}

func (o *openFiles) closed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open--
}

func (o *openFiles) tooMany() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open > openJobs
}

func (o *openFiles) finished(j *job) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.begun, j)
}

// abandon closes what an interruption left open. Large part files stay for the
// next run, and so does what was set aside; small ones are removed. All
// goroutines have ended.
func (o *openFiles) abandon(r *restorer) {
	for j := range o.begun {
		j.mu.Lock()
		r.closeFile(j)
		if j.base == baseNothing && j.node.Size < resumable {
			if d, release, err := r.dirs.get(j.dir); err == nil {
				_ = d.Remove(r.part(j)) // a leftover with an honest name at worst
				release()
			}
		}
		j.mu.Unlock()
	}
	o.begun = nil
}

// targetFull makes the error of a target that takes no more, or nil.
func targetFull(target string, err error) error {
	if !noSpace(err) {
		return nil
	}
	return fault.New("restore into", target, fmt.Errorf("%w: %w", ErrTargetFull, err),
		"what was restored stays; make room and run the same restore again, it goes on where it stopped")
}
