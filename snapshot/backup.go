package snapshot

import (
	"context"
	"errors"
	"time"

	"mahavishnu/clock"
	"mahavishnu/repository"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/lease"
)

// The types of backup.
const (
	// Incremental trusts size, times and inode of a file against the parent
	// snapshot and reads what differs. It is the default.
	Incremental = "incremental"
	// Full reads every byte and reuses only what is really in storage.
	Full = "full"
	// Archival is a full with the best compression and packs of its own.
	Archival = "archival"
)

// NoParent as [BackupOptions.Parent] keeps an incremental from trusting any
// snapshot.
const NoParent = "none"

// Errors that callers decide on.
var (
	// ErrNoSource: the path of the source leads nowhere.
	ErrNoSource = errors.New("the source does not exist")
	// ErrEmptySource: the source has no entries. A file system that is not
	// mounted looks like that.
	ErrEmptySource = errors.New("the source is empty")
)

// BackupOptions says what to back up and how.
type BackupOptions struct {
	// Source is the name under which the snapshot is kept; required.
	Source string
	// Path of a directory or a regular file; required. A symbolic link is
	// followed, here and nowhere else. A file becomes a snapshot of its
	// directory with only that file in it.
	Path string
	// Type is Incremental, Full or Archival; "" is Incremental.
	Type string
	// Parent is the snapshot to compare with: an id or what else
	// Repository.FindSnapshot takes, "" for the newest of the same source and path, or NoParent.
	Parent string
	Tags   []string
	Labels map[string]string
	// Exclude holds patterns as in .gitignore, relative to Path.
	Exclude []string
	// ExcludeCaches keeps of a directory with a CACHEDIR.TAG only that tag.
	ExcludeCaches bool
	// OneFileSystem keeps of other file systems only the directories they are
	// mounted on, empty.
	OneFileSystem bool
	// AllowEmpty permits a snapshot without any entry.
	AllowEmpty bool

	// Job identifies the work when it may be done more than once: all attempts
	// together commit one snapshot. JobTime is then required, and becomes the
	// snapshot's time.
	Job     string
	JobTime time.Time
	Attempt int
	// Host is recorded; "" records the machine's name.
	Host string
	// Engine is the version of the program, recorded.
	Engine string

	// Compression; the zero value is the repository's default, and the best
	// there is for Archival.
	Compression compress.Setting
	// Readers is how many files are read at once; 0 is one for each core.
	Readers int
	// VerifyEvery and Budget are passed to the session: see
	// repository.SessionOptions.
	VerifyEvery int
	Budget      int64
	Progress    Progress
	Clock       clock.Clock
	// Fence is asked last before the snapshot becomes visible. An error stops
	// the commit.
	Fence func(ctx context.Context) error
	// Lease says how collectors of garbage learn that the backup lives.
	Lease lease.Options
}

// Result tells what a backup did. It is filled in as far as possible when there
// is an error too, except for Snapshot.
type Result struct {
	Snapshot repository.Snapshot
	// Existing is true when the job had its snapshot already: that one is
	// returned.
	Existing bool
	// Known is how many snapshots of the source can be read now, as far as this
	// backup has seen them.
	Known int
	Stats Stats
	// Unreadable names what is missing from the snapshot, or is in it with
	// something missing, up to MaxNamed entries; Stats.Unreadable counts all.
	// Callers exit with code 3 when there are any.
	Unreadable []FileError
	// Changed names files that changed while they were read, up to MaxNamed;
	// Stats.ChangedWhileRead counts all.
	Changed []string
	// Vanished names entries that were deleted between listing and reading, up
	// to MaxNamed; Stats.Vanished counts all. That is no error.
	Vanished []string
	// ParentErrors tell what of the parent, or which other snapshots of the
	// source, could not be read because they are damaged, or only from their
	// second copy (repository.ErrServed). This snapshot is whole: what the
	// parent lacked was read from the source instead.
	ParentErrors []error
}

// MaxNamed bounds the lists of names kept of a run; the counts go on.
const MaxNamed = 1000

// FileError is an entry that could not be read.
type FileError struct {
	Path string // from the source's root; bytes, see Printable
	Err  error
}

// Error names the entry and the cause.
func (e FileError) Error() string { return Printable(e.Path) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e FileError) Unwrap() error { return e.Err }

// Counts compares with the parent snapshot.
type Counts struct {
	New, Changed, Unchanged int64
}

// Total is the number of entries.
func (c Counts) Total() int64 { return c.New + c.Changed + c.Unchanged }

// Stats sums a backup up.
type Stats struct {
	Files, Dirs, Others Counts
	// Removed entries were in the parent and are not in the source; of a
	// removed directory only itself is counted.
	Removed int64
	// Excluded entries; of a directory only itself is counted.
	Excluded int64
	// Vanished entries were listed, and gone when they were to be read.
	Vanished         int64
	Unreadable       int64
	ChangedWhileRead int64
	// Bytes is the size of all files in the snapshot. BytesRead of them were
	// read; the rest was holes, or trusted to be as in the parent.
	Bytes        int64
	BytesRead    int64
	BytesTrusted int64
	// BytesNew had to be stored, before compression, and took BytesStored.
	BytesNew    int64
	BytesStored int64
	// BytesReused were read and found to be stored already; BytesAdopted of
	// the repository were left by a run that died, and taken over. They take
	// BytesTakenOver: with BytesStored, that is what the backup cost.
	BytesReused    int64
	BytesAdopted   int64
	BytesTakenOver int64
	Duration       time.Duration
}

// Rate is how many bytes of the source were dealt with each second, whether
// they were read or not.
func (s Stats) Rate() float64 {
	if s.Duration <= 0 {
		return 0
	}
	return float64(s.Bytes) / s.Duration.Seconds()
}
