package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/lease"
	"mahavishnu/retention"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/exclude"
	"mahavishnu/worker"
)

// Repositories opens the repositories of the worker's region, and of those whose jobs it
// takes.
type Repositories interface {
	// Open returns a region's repository, made first where there is none, create is set
	// and the region is the worker's own: of another one it is the copy that the
	// worker's region keeps. The caller calls close when it is done with it. One that is
	// known to exist elsewhere or to have been there is an error marked by Away; a
	// *messages.RefusedError says that none of the region's is kept here.
	Open(ctx context.Context, region string, create bool) (repo *repository.Repository, close func() error, err error)
}

// Settings are what a reload of the configuration may change.
type Settings struct {
	// Sources by name.
	Sources map[string]config.Source
	// Compression of what is stored; the zero value is the repository's default.
	Compression compress.Setting
	// Readers is how many files a job reads at once; 0 is one for each core.
	Readers int
	// MaxUnverifiedAge is the promise that no stored byte goes unverified for
	// longer; 0 is none.
	MaxUnverifiedAge time.Duration
	// VerifyOnRestore says whether a restore reads back and compares what it wrote,
	// unless its job says itself.
	VerifyOnRestore bool
	// Retention says which snapshots are kept.
	Retention retention.Policy
	// Prune says how much a prune job does.
	Prune PruneSettings
}

// PruneSettings say how much a prune job does.
type PruneSettings struct {
	// MaxUnused is the percentage of stored bytes that may be left unused.
	MaxUnused float64
	// MaxRepack is how many bytes are rewritten at most; 0 sets no limit.
	MaxRepack int64
	// Wait is how long a job waits for others at work.
	Wait time.Duration
}

// sessionTTL is how long a session in the queue lives without a renewal.
const sessionTTL = 30 * time.Second

// lease is how a job's session in the repository is held.
func (s Setup) lease() lease.Options {
	o := lease.Options{Keeper: s.Sessions, Host: s.Host}
	if s.Sessions != nil {
		o.TTL = sessionTTL
	}
	return o
}

// Setup is what the handlers need. Repositories, Settings, Staging and Region
// are required.
type Setup struct {
	Repositories Repositories
	// Settings returns the settings in force.
	Settings func() Settings
	// Staging is the directory that restores write below.
	Staging string
	// Region is the worker's.
	Region string
	// Host is recorded in snapshots; "" is the machine's name.
	Host string
	// Version of the program, recorded in snapshots.
	Version string
	// Replicas opens what replicate jobs copy; nil refuses such jobs.
	Replicas Replicas
	// Copies opens what else is kept of a region's repository, as far as it can be
	// reached: a repair fetches from there what nothing else mends. nil is none.
	Copies func(ctx context.Context, region string) (copies []repository.Replica, done func() error)
	// Sessions keeps the leases of sessions in the queue; nil leaves it to signs of
	// life in the storage.
	Sessions lease.Keeper
	// Clock is the time; nil is the machine's.
	Clock clock.Clock
}

// New returns the handlers of every kind; those of kinds that this version
// cannot do refuse.
func New(s Setup) (worker.Handlers, error) {
	if s.Repositories == nil || s.Settings == nil || s.Staging == "" || s.Region == "" {
		return nil, fault.New("set up worker", "", errors.New("repositories, settings, staging directory and region are required"), "")
	}
	s.Clock = clock.Or(s.Clock)
	staging := newStaging(s.Staging, s.Clock)
	return worker.Handlers{
		messages.KindBackup:  &backup{s},
		messages.KindRestore: &restore{s, staging},

		messages.KindVerify:      &verify{s},
		messages.KindForget:      &forgetting{s},
		messages.KindPrune:       &pruning{s},
		messages.KindRestoreTest: &restoreTest{s, staging},

		messages.KindReplicate: &replicate{s},

		messages.KindDrill:      unavailable{"rehearse disasters"},
		messages.KindBaseBackup: unavailable{"back up PostgreSQL clusters"},
	}, nil
}

// Away marks an error about a repository that is known to exist and is not where it
// should be: its disk or share is not mounted, which the next attempt may find mended.
func Away(err error) error { return &awayError{err} }

type awayError struct{ error }

func (e *awayError) Unwrap() error { return e.error }

// regionOf is the region that a job is about: the worker's own for a job that any may do.
func (s Setup) regionOf(job messages.Job) string {
	if job.Region == messages.AnyRegion || job.Region == "" {
		return s.Region
	}
	return job.Region
}

// open opens the repository of the job's region. That there is none, or another than the key and this
// program are for, is final: no attempt finds another one. A storage that does not
// answer may answer the next one.
func (s Setup) open(ctx context.Context, job messages.Job, create bool) (*repository.Repository, func() error, error) {
	repo, closeRepo, err := s.Repositories.Open(ctx, s.regionOf(job), create)
	if away := (*awayError)(nil); errors.As(err, &away) {
		return nil, nil, err
	}
	for _, final := range []error{repository.ErrNotRepository, repository.ErrWrongKey, repository.ErrUnknownFeature} {
		if errors.Is(err, final) {
			return nil, nil, worker.Discard(err)
		}
	}
	return repo, closeRepo, err
}

// source returns a configured source of the job's region that this worker can read.
// The error is a *messages.RefusedError.
func (s Setup) source(name string, job messages.Job) (config.Source, error) {
	sources := s.Settings().Sources
	src, ok := sources[name]
	region := s.regionOf(job)
	switch {
	case !ok:
		return src, unknownSource(name, slices.Sorted(maps.Keys(sources)))
	case src.Region != "" && src.Region != messages.AnyRegion && src.Region != region:
		return src, &messages.RefusedError{
			Reason: fmt.Sprintf("source %q is in region %s, and this job went to region %s", name, src.Region, region),
			Field:  "source",
			Hint:   "publish it to " + messages.JobSubject(job.Kind, src.Region),
		}
	case !s.reads(src):
		return src, &messages.RefusedError{
			Reason: fmt.Sprintf("workers of region %s take the jobs of region %s, and cannot read source %q there", s.Region, src.Region, name),
			Field:  "source",
			Hint: fmt.Sprintf("it is backed up again when region %s is back; where machines of %s see the same files under the same path, name that region under sources.%s.also_from",
				src.Region, s.Region, name),
		}
	}
	return src, nil
}

// reads tells whether workers of this region see a source's files under its path. The
// same path on another region's machines is something else, unless the configuration
// says that it is not.
func (s Setup) reads(src config.Source) bool {
	return src.Region == "" || src.Region == messages.AnyRegion || src.Region == s.Region || slices.Contains(src.AlsoFrom, s.Region)
}

func unknownSource(name string, known []string) error {
	reason := fmt.Sprintf("there is no source %q in the configuration", name)
	if len(known) > 0 {
		reason += fmt.Sprintf(" (it has %s)", sample(known, 20))
	}
	return &messages.RefusedError{
		Reason: reason, Field: "source", Suggestion: messages.Nearest(name, known),
		Hint: "add it under sources, or correct the name",
	}
}

// find returns the snapshot that ref names, and refuses a job whose ref names
// none or another source's.
func find(ctx context.Context, repo *repository.Repository, ref, source string) (repository.Snapshot, error) {
	snap, err := repo.FindSnapshot(ctx, ref)
	switch {
	case errors.Is(err, repository.ErrNoSnapshot), errors.Is(err, repository.ErrAmbiguous):
		return snap, &messages.RefusedError{Reason: err.Error(), Field: "snapshot", Hint: cmp.Or(first(fault.Hints(err)), "see `mahavishnu snapshots`")}
	case err != nil:
		return snap, err
	case source != "" && snap.Source != source:
		return snap, &messages.RefusedError{
			Reason: fmt.Sprintf("snapshot %s is of source %q, not of %q", snap.ID, snap.Source, source),
			Field:  "source", Hint: "correct the source, or leave it out",
		}
	}
	return snap, nil
}

// checkPatterns refuses patterns that no attempt could read.
func checkPatterns(field string, patterns []string) error {
	if _, err := exclude.New(patterns); err != nil {
		return &messages.RefusedError{Reason: err.Error(), Field: field, Hint: "patterns are written as in .gitignore"}
	}
	return nil
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// sample lists the first names, and says how many more there are.
func sample(names []string, most int) string {
	text, more := "", len(names)-most
	for i, name := range names[:min(most, len(names))] {
		if i > 0 {
			text += ", "
		}
		text += name
	}
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// progress passes a run's progress to the job's meter. What is known to be
// unchanged counts as done: it is part of what was expected.
type progress struct{ meter *worker.Meter }

// Add implements snapshot.Progress.
func (p progress) Add(d snapshot.ProgressDelta) {
	p.meter.Add(worker.Advance{
		Files: d.Files, Dirs: d.Dirs, Bytes: d.Bytes + d.Unchanged, Stored: d.Stored, Problems: d.Failed,
		ExpectFiles: d.ExpectFiles, ExpectBytes: d.ExpectBytes, Current: snapshot.Printable(d.Path),
	})
}

// maxNamed bounds the lists in results: records travel through the queue.
const maxNamed = 100

func bounded[T any](all []T) []T { return all[:min(len(all), maxNamed)] }

func millis(d time.Duration) int64 { return d.Milliseconds() }

// closing calls close and joins its error.
func closing(close func() error, err *error) { *err = errors.Join(*err, close()) }
