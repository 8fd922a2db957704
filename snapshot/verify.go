package snapshot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/lease"
	"mahavishnu/repository/ledger"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

// VerifyOptions says how much to verify. The zero value checks the structure for
// all snapshots.
type VerifyOptions struct {
	// Snapshots to answer for; nil means all of the repository.
	Snapshots []repository.Snapshot
	// ReadData is how much of the stored data to read, decode and compare, in
	// percent of the packs: 0 none, 100 all.
	ReadData float64
	// Seed chooses which packs, when not all: equal seeds choose equally, so
	// different ones in a row come round to everything.
	Seed uint64
	// Oldest is how many stored bytes to read of what has gone unverified longest: what
	// never was verified first, the newest of it before the rest. The last pack may
	// go over it. 0 reads none.
	Oldest int64
	// MinAge leaves out of Oldest what was verified more recently than that. What
	// never was verified is always read.
	MinAge time.Duration
	// New reads everything that the backups of Snapshots stored, and of the
	// structure checks only what Snapshots need: the cost does not depend on what else
	// the repository holds.
	New bool
	// Structure reads of what New names the tables of packs in place of all the data, and
	// lists the packs whatever their number: for right after a backup in this process, which
	// has checked its data while it was sealed, and knows what is in the index.
	Structure bool
	// MaxAge is the promise that the report's Coverage is compared with: no byte
	// goes unverified for longer. 0 is none.
	MaxAge time.Duration
	// Progress hears about bytes read. It may be nil.
	Progress Progress
	// OnProblem hears of each problem of an object as it is found, before it
	// is known what it affects. Calls come one at a time. It may be nil.
	OnProblem func(repository.Problem)
	// Replicas are where Repair fetches what nothing in the repository mends.
	Replicas []repository.Replica
	// Lease says how collectors of garbage learn that somebody reads. The zero
	// value is right without a queue.
	Lease lease.Options
	// Clock is asked for the duration, and for what the ledger notes. Default: the
	// machine's.
	Clock clock.Clock
}

// Bounds of what a report lists; the counts cover all.
const (
	reportedProblems = 1000
	reportedPaths    = 20
)

// VerifyProblem is something damaged, and what it means.
type VerifyProblem struct {
	// Object is its name in the storage, or a blob's id that no object holds.
	Object string
	// Kind is one of repository's Object constants, or "blob".
	Kind string
	Err  error
	// Harmless is true when nothing can need what is wrong.
	Harmless bool
	// Unreadable is true when the storage could not read the object. It may be
	// whole, and be read another time.
	Unreadable bool
	// Mendable is true for a pack that parity makes whole: nothing is lost.
	Mendable bool
	// LostBlobs is how many blobs cannot be read because of it, from here or
	// from anywhere else, and are needed.
	LostBlobs int
	// Affected are the snapshots that need them.
	Affected []Affected
}

// Affected is a snapshot that lost something.
type Affected struct {
	Snapshot string    `json:"snapshot"`
	Source   string    `json:"source"`
	Time     time.Time `json:"time"`
	Entries  int64     `json:"entries"` // that lost something
	Paths    []string  `json:"paths"`   // the first of them, printable
	last     string
}

// MarshalJSON writes the error as a sentence.
func (p VerifyProblem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Object     string     `json:"object"`
		Kind       string     `json:"kind"`
		Problem    string     `json:"problem"`
		Harmless   bool       `json:"harmless,omitempty"`
		Unreadable bool       `json:"unreadable,omitempty"`
		Mendable   bool       `json:"mendable,omitempty"`
		LostBlobs  int        `json:"lost_blobs"`
		Affected   []Affected `json:"affected"`
	}{p.Object, p.Kind, p.Err.Error(), p.Harmless, p.Unreadable, p.Mendable, p.LostBlobs, append([]Affected{}, p.Affected...)})
}

// VerifyReport says what was verified and what was found.
type VerifyReport struct {
	Snapshots int `json:"snapshots"` // whose trees were walked
	// Entries and Bytes are what the verified snapshots hold; what several of
	// them share is counted once.
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`
	// Packs in the storage, and how many of them were read byte by byte.
	Packs     int `json:"packs"`
	PacksRead int `json:"packs_read"`
	// ColdPacks were not read, because they may have to be thawed first.
	ColdPacks int   `json:"cold_packs,omitempty"`
	ColdBytes int64 `json:"cold_bytes,omitempty"`
	BytesRead int64 `json:"bytes_read"`
	// Unindexed packs are known to no index: left by a session that died or
	// still runs.
	Unindexed int `json:"unindexed_packs"`
	// Corrected objects are read right although they are not stored right, by
	// parity or from a second copy.
	Corrected int `json:"corrected"`
	// Unprotected is the earliest time at which something stored can be deleted by whoever
	// has the credentials, unless a prune keeps it for longer before; nil where nothing is
	// kept.
	Unprotected *time.Time `json:"unprotected_from,omitempty"`
	// Coverage is how long bytes have gone unverified, after this run.
	Coverage *repository.Coverage `json:"coverage,omitempty"`
	// NotRecorded is why what was verified could not be recorded; "" when it was.
	NotRecorded string `json:"not_recorded,omitempty"`
	// Problems lists the first of them, harmful ones first.
	Problems      []VerifyProblem `json:"problems"`
	ProblemsTotal int             `json:"problems_total"`
	HarmlessTotal int             `json:"harmless_total"` // of ProblemsTotal
	Duration      time.Duration   `json:"-"`
	Seconds       float64         `json:"seconds"` // Duration
}

// Verify checks that snapshots would restore: that every object is there and
// whole, that every tree can be walked, that every blob is where the index says
// it is, and by reading as much data as asked for. The error wraps
// repository.ErrDamaged when anything harmful was found, or repository.ErrUnreadable
// when all of that is objects the storage could not read; the report, complete
// in any case, names it and what it affects. One object that cannot be read never
// ends the run; a storage that is out of reach does, with ErrUnreachable.
//
// What was read and found whole is noted in the repository's ledger, also when the
// run is interrupted; blobs that cannot be had are noted too, so that the next
// backup stores them again. While it reads, collectors delete no pack that was
// there when it began.
func Verify(ctx context.Context, repo *repository.Repository, o VerifyOptions) (report VerifyReport, err error) {
	o.Clock = clock.Or(o.Clock)
	started := o.Clock.Now()
	v := &verifier{
		repo: repo, o: o, progress: progressOr(o.Progress), noted: started,
		objects: map[string]int{}, bad: map[repository.ID]int{}, sizes: map[repository.PackID]int64{},
	}
	if err := o.check(); err != nil {
		return v.report, fault.New("verify", repo.Backend().Location(), err, "")
	}
	reading, err := repo.Reader(ctx, o.lease())
	if err != nil {
		return v.report, err
	}
	defer func() { err = errors.Join(err, reading.Close(context.WithoutCancel(ctx))) }()
	err = v.run(ctx)
	err = errors.Join(err, v.record(ctx, err == nil))
	v.finish(err == nil)
	if at, ok, failed := repo.Unprotected(ctx); failed == nil && ok { // else nobody can say
		v.report.Unprotected = &at
	}
	v.report.Duration = o.Clock.Now().Sub(started)
	v.report.Seconds = v.report.Duration.Seconds()
	v.report.Corrected = repo.Corrections()
	if err == nil {
		err = v.verdict()
	}
	return v.report, err
}

func (o VerifyOptions) lease() lease.Options {
	l := o.Lease
	if l.Clock == nil {
		l.Clock = o.Clock
	}
	return l
}

func (o VerifyOptions) check() error {
	switch {
	case o.ReadData < 0 || o.ReadData > 100 || math.IsNaN(o.ReadData):
		return fmt.Errorf("read data %v percent, give a number from 0 to 100", o.ReadData)
	case o.Oldest < 0:
		return fmt.Errorf("read %d bytes, give a number from 0", o.Oldest)
	case o.New && o.Snapshots == nil:
		return errors.New("what is new is told by snapshots, give some")
	case o.Structure && !o.New:
		return errors.New("the structure alone is checked of what is new")
	}
	return nil
}

// verdict is the error of a run that came to its end.
func (v *verifier) verdict() error {
	harmful, unreadable, served, mendable := 0, 0, 0, 0
	var first error   // that could not be read
	allDenied := true // to this user, all of those
	for _, p := range v.problems {
		if p.Harmless {
			continue
		}
		switch {
		case p.Mendable:
			mendable++
		case errors.Is(p.Err, repository.ErrServed):
			served++
		}
		if !p.Unreadable {
			harmful++
			continue
		}
		unreadable++
		first = cmp.Or(first, p.Err)
		allDenied = allDenied && Denied(p.Err)
	}
	place := v.repo.Backend().Location()
	damaged := fmt.Errorf("%w: %d problems", repository.ErrDamaged, harmful+unreadable)
	switch {
	case harmful > 0 && mendable+served == harmful+unreadable:
		return fault.New("verify", place, damaged, "nothing is lost yet: mend it with `mahavishnu verify --repair`")
	case harmful > 0:
		return fault.New("verify", place, damaged,
			"mend what can be mended with `mahavishnu verify --repair`; restore what is affected then from a snapshot that is not, or from a replica; a full backup stores again what the source still has")
	case unreadable > 0 && allDenied:
		return fault.New("verify", place, fmt.Errorf("%s, the first: %w", terminal.Plural(unreadable, "problem"), first), "") // says itself what to do
	case unreadable > 0:
		return fault.New("verify", place, fmt.Errorf("%d objects: %w", unreadable, repository.ErrUnreadable),
			"look at the storage (the system's log tells of bad sectors), then verify again; copy what can be read to another disk")
	}
	return nil
}

// Denied tells what this user may not read from what the storage fails to read.
func Denied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, storage.ErrDenied)
}

// verifier is one verification.
type verifier struct {
	repo     *repository.Repository
	o        VerifyOptions
	progress Progress
	report   VerifyReport
	learned  repository.Learned
	seen     []repository.Snapshot // to be noted as being there
	whole    bool                  // all snapshots were walked

	mu       sync.Mutex                  // guards what follows while packs are read in parallel
	sizes    map[repository.PackID]int64 // of packs that are there; -1 of those that are not
	listed   bool                        // sizes has all of them
	problems []VerifyProblem
	objects  map[string]int        // problems by object
	bad      map[repository.ID]int // which problem a blob suffers from
	marks    []ledger.Mark         // found whole and not noted yet
	sound    []repository.PackID   // found whole
	noted    time.Time             // when marks were last noted
}

func (v *verifier) run(ctx context.Context) error {
	if v.o.New {
		return v.runNew(ctx)
	}
	learned, err := v.repo.Check(ctx, v.o.Clock.Now(), func(p repository.Problem) error { v.found(p); return nil })
	if err != nil {
		return err
	}
	v.learned = learned
	snaps := v.o.Snapshots
	if snaps == nil {
		// The damaged ones are among the problems already.
		if snaps, _, err = v.repo.Snapshots(ctx, ""); err != nil {
			return err
		}
	}
	v.seen = snaps
	v.list(learned.Packs)
	v.listed = !learned.PacksUnlisted
	v.report.Packs, v.report.Unindexed = len(learned.Packs), learned.Unindexed
	packs, err := v.choose(ctx, snaps)
	if err != nil {
		return err
	}
	if err := v.read(ctx, packs); err != nil {
		return err
	}
	err = v.walk(ctx, snaps)
	v.whole = err == nil && v.o.Snapshots == nil
	return err
}

// runNew verifies what the backups of some snapshots stored.
func (v *verifier) runNew(ctx context.Context) error {
	if !v.o.Structure {
		if err := v.repo.Refresh(ctx); err != nil {
			return err
		}
	}
	fresh, known := map[repository.PackID]bool{}, true
	for _, snap := range v.o.Snapshots {
		stored, complete, err := v.repo.CheckSnapshot(ctx, snap, func(p repository.Problem) error { v.found(p); return nil })
		if err != nil {
			return err
		}
		known = known && complete
		for _, id := range stored {
			fresh[id] = true
		}
	}
	v.seen = v.o.Snapshots
	if v.o.Structure || v.o.Oldest > 0 || !known || v.repo.IndexedPacks() < fewPacks {
		if err := v.look(ctx); err != nil {
			return err
		}
	}
	v.report.Packs = len(fresh)
	packs := slices.Collect(maps.Keys(fresh))
	if v.o.Oldest > 0 || !known {
		for _, id := range v.oldest(!known) {
			if !fresh[id] {
				packs = append(packs, id)
			}
		}
	}
	if v.o.Structure {
		if err := v.tables(ctx, packs); err != nil {
			return err
		}
	} else if err := v.read(ctx, packs); err != nil {
		return err
	}
	return v.walk(ctx, v.o.Snapshots)
}

// tables checks the tables of packs.
func (v *verifier) tables(ctx context.Context, packs []repository.PackID) error {
	sizes := map[repository.PackID]int64{}
	for _, id := range packs {
		sizes[id] = -1
		if size, listed := v.sizes[id]; listed {
			sizes[id] = size
		}
	}
	return v.repo.CheckTables(ctx, sizes, func(p repository.Problem) error { v.found(p); return nil })
}
