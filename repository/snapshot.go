package repository

import (
	"time"
)

// Snapshot is the commit point of a backup: what was backed up, when, and the
// root of its tree. Every snapshot restores alone.
type Snapshot struct {
	// ID is 16 hexadecimal digits. A job's snapshot always has the same id.
	ID string `json:"id"`
	// Source names what was backed up, as the configuration does.
	Source string `json:"source"`
	// Type is "full", "incremental" or "archival".
	Type string `json:"type"`
	// Time is what the snapshot is known by: the job's creation time, or when
	// the backup started. Whole seconds.
	Time time.Time `json:"time"`
	// Start and End of the work.
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	// Host that held the source, and the path there (bytes that are not UTF-8
	// are escaped by the caller).
	Host string `json:"host,omitempty"`
	Path string `json:"path,omitempty"`
	// Root is the tree blob of exactly one entry, the root.
	Root ID `json:"root"`
	// Parent is the snapshot whose metadata was trusted, if any.
	Parent string `json:"parent,omitempty"`
	// Job and Attempt that made it, if any.
	Job     string `json:"job,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	// Tags given by people.
	Tags []string `json:"tags,omitempty"`
	// Engine is the version of the program.
	Engine string `json:"engine,omitempty"`
	// Totals of the tree and of the session.
	Totals Totals `json:"totals"`
	// Unreadable names entries that could not be read, up to a limit the caller
	// sets; UnreadableTotal counts all of them.
	Unreadable      []Unreadable `json:"unreadable,omitempty"`
	UnreadableTotal int64        `json:"unreadable_total,omitempty"`
	// Changed names files that changed while they were read; ChangedTotal
	// counts all of them.
	Changed      []string `json:"changed,omitempty"`
	ChangedTotal int64    `json:"changed_total,omitempty"`
	// Index names the index fragments through which the snapshot's blobs were
	// found or stored, so that the loss of one is noticed. Filled in by Commit.
	Index []string `json:"index,omitempty"`
	// Stored names those of Index that this backup wrote: they tell which packs
	// it stored or took over, and which a verification shall look at first. Filled in
	// by Commit.
	Stored []string `json:"stored,omitempty"`
	// Labels of the job, for people and their tools.
	Labels map[string]string `json:"labels,omitempty"`
}

// Totals counts entries and bytes of a snapshot.
type Totals struct {
	Files  int64 `json:"files"`
	Dirs   int64 `json:"dirs"`
	Others int64 `json:"others"`
	// Bytes is the size of all files as a restore writes them.
	Bytes int64 `json:"bytes"`
	// NewBytes is what no earlier session had stored, before compression, and
	// StoredBytes what storing it took.
	NewBytes    int64 `json:"new_bytes"`
	StoredBytes int64 `json:"stored_bytes"`
	// TakenOverBytes is what blobs take in packs that a session had left which
	// died before it could index them, and that were not stored again.
	TakenOverBytes int64 `json:"taken_over_bytes,omitempty"`
	// ReusedBytes is what earlier sessions had stored, before compression.
	ReusedBytes int64 `json:"reused_bytes"`
}

// Cost is what the snapshot added to the storage: what was stored anew and what was
// taken over. Two snapshots that are made at once may both count what they took over.
func (t Totals) Cost() int64 { return t.StoredBytes + t.TakenOverBytes }

// Unreadable is an entry that could not be read, and why.
type Unreadable struct {
	Path string `json:"path"`
	Err  string `json:"error"`
}
