package snapshot

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"mahavishnu/fault"
	"mahavishnu/repository"
)

// reportedIssues is how many issues a report lists; the counts cover all.
const reportedIssues = 1000

// IssueKind tells issues apart.
type IssueKind string

const (
	// IssueSkipped: what is in the target was kept because it is newer.
	IssueSkipped IssueKind = "skipped"
	// IssueLost: restored, but a piece of metadata could not be set.
	IssueLost IssueKind = "metadata lost"
	// IssueDamaged: the repository does not have all of it.
	IssueDamaged IssueKind = "damaged"
	// IssueFailed: the target did not take it.
	IssueFailed IssueKind = "failed"
)

// Range is a run of bytes of a file.
type Range struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// Issue is an entry that was not restored as the snapshot has it.
type Issue struct {
	Kind IssueKind `json:"kind"`
	// Path in the snapshot, byte for byte; [Printable] makes it fit to show.
	Path string `json:"path"`
	// Ranges that are missing from a damaged file, at most 100 of them.
	Ranges []Range `json:"ranges,omitempty"`
	// Saved is where the whole parts of a damaged file are, beside its own
	// name; "" when nothing could be saved.
	Saved string `json:"saved,omitempty"`
	Err   error  `json:"-"`
}

// MarshalJSON writes the error as a sentence and paths printable.
func (i Issue) MarshalJSON() ([]byte, error) {
	type plain Issue
	p := plain(i)
	p.Path, p.Saved = Printable(i.Path), Printable(i.Saved)
	return json.Marshal(struct {
		plain
		Reason string `json:"reason"`
	}{p, i.Err.Error()})
}

// Action is what a restore did, or in a dry run would do, with an entry.
type Action struct {
	// Op is "create", "update" (content), "metadata", "replace" (by an entry
	// of another type), "link", "delete", "unchanged" or "keep" (by policy).
	Op   string `json:"op"`
	Path string `json:"path"`
	Type string `json:"type"`
	// Bytes to be written for it.
	Bytes int64 `json:"bytes,omitempty"`
}

// RestoreReport counts what a restore did.
type RestoreReport struct {
	Snapshot string `json:"snapshot"`
	Target   string `json:"target"`
	DryRun   bool   `json:"dry_run,omitempty"`
	// Entries that are now as in the snapshot.
	Files     int64 `json:"files"`
	Dirs      int64 `json:"dirs"`
	Others    int64 `json:"others"`     // links and special files
	HardLinks int64 `json:"hard_links"` // of Files and Others: further names
	Unchanged int64 `json:"unchanged"`  // of all of these: were so already
	// Bytes is the size of the files now in place, holes and all; WrittenBytes is
	// what had to be written of it.
	Bytes        int64 `json:"bytes"`
	WrittenBytes int64 `json:"written_bytes"`
	// FetchedBytes were read from the storage for it, as they are stored.
	FetchedBytes int64 `json:"fetched_bytes"`
	// ReadBackBytes were read back after they were written, and are right: 0 when
	// nobody asked for it.
	ReadBackBytes int64 `json:"read_back_bytes"`
	Deleted       int64 `json:"deleted"`
	// Kept are entries that OverwriteNever left as they were.
	Kept int64 `json:"kept"`
	// Corrected are objects of the storage that were read right although they
	// are damaged, by parity or from a second copy.
	Corrected int64 `json:"corrected"`
	// Entries with issues; Issues lists the first of them.
	Skipped  int64         `json:"skipped"`
	Lost     int64         `json:"metadata_lost"`
	Damaged  int64         `json:"damaged"`
	Failed   int64         `json:"failed"`
	Issues   []Issue       `json:"issues,omitempty"`
	Duration time.Duration `json:"-"`
	Seconds  float64       `json:"seconds"` // Duration
}

// err is the verdict, worst first.
func (r *RestoreReport) err(snap repository.Snapshot) error {
	switch {
	case r.Damaged > 0:
		return fault.New("restore", snap.ID, fmt.Errorf("%w: %d entries could not be restored whole", repository.ErrDamaged, r.Damaged),
			"everything else is restored; damaged files are beside their names, ending in "+damagedSuffix+"; other snapshots may have them whole")
	case r.Skipped+r.Lost+r.Failed > 0:
		return fault.New("restore", snap.ID, fmt.Errorf("%w: %d kept, %d without some metadata, %d failed", ErrIncomplete, r.Skipped, r.Lost, r.Failed), r.hint())
	}
	return nil
}

func (r *RestoreReport) hint() string {
	switch {
	case r.Failed > 0:
		return "see the reasons listed, then run the same restore again"
	case r.Skipped > 0:
		return "use --overwrite always to replace what is newer in the target"
	}
	return "owners, devices and trusted attributes need root"
}

// restoreLog collects from all goroutines what becomes the report.
type restoreLog struct {
	onAction func(Action)
	onIssue  func(Issue)
	progress Progress

	mu sync.Mutex
	r  RestoreReport
}

func (l *restoreLog) report() RestoreReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.r
	r.Issues = append([]Issue(nil), r.Issues...)
	return r
}

func (l *restoreLog) issue(i Issue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch i.Kind {
	case IssueSkipped:
		l.r.Skipped++
	case IssueLost:
		l.r.Lost++
	case IssueDamaged:
		l.r.Damaged++
	case IssueFailed:
		l.r.Failed++
	}
	if len(l.r.Issues) < reportedIssues {
		l.r.Issues = append(l.r.Issues, i)
	}
	if l.onIssue != nil {
		l.onIssue(i)
	}
}

// count applies a change to the counters.
func (l *restoreLog) count(change func(*RestoreReport)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.r)
}

// action reports an entry and its progress.
func (l *restoreLog) action(a Action) {
	if l.onAction == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onAction(a)
}
