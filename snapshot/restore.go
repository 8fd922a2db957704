package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/snapshot/tree"
	"mahavishnu/storage"
)

// ErrIncomplete means that a restore did its work but for some entries, each of
// which is named in the report: kept because they are newer, without a piece of
// their metadata, or not writable.
var ErrIncomplete = errors.New("not everything was restored")

// ErrNothingFits means that the snapshot has nothing that Include asks for.
var ErrNothingFits = errors.New("nothing in it fits what is to be included")

// ErrTargetFull means that the target took no more. What was restored stays;
// the same restore goes on where it stopped once there is room.
var ErrTargetFull = errors.New("the target is full")

// Overwrite says what happens to an entry that is in the target already. It is
// about files, links and special files; directories are always shared.
type Overwrite string

const (
	// OverwriteOlder, the default, replaces what differs unless it is newer
	// than the snapshot's: that is kept and reported.
	OverwriteOlder Overwrite = "older"
	// OverwriteAlways replaces whatever differs, by content.
	OverwriteAlways Overwrite = "always"
	// OverwriteChanged is OverwriteAlways, except that files of the same size
	// and time are taken to be the same without being read.
	OverwriteChanged Overwrite = "if-changed"
	// OverwriteNever keeps whatever is there.
	OverwriteNever Overwrite = "never"
)

// ParseOverwrite reads the policy's name; "" is the default.
func ParseOverwrite(s string) (Overwrite, error) {
	switch o := Overwrite(s); o {
	case "", OverwriteOlder:
		return OverwriteOlder, nil
	case OverwriteAlways, OverwriteChanged, OverwriteNever:
		return o, nil
	}
	return "", fault.New("read overwrite policy", s, errors.New("it is not one of older, always, if-changed, never"), "")
}

// RestoreOptions says what to restore and how.
type RestoreOptions struct {
	// Target is the directory that becomes what the snapshot's root was. It is
	// made when missing. Nothing outside it is ever written; the path itself
	// may lead through symbolic links.
	Target string
	// Include restores only what these patterns select, with the directories
	// that lead there; empty means everything. Exclude leaves out, and protects
	// from Delete. Both are patterns as in package exclude.
	Include, Exclude []string
	// Delete removes from restored directories what the snapshot does not
	// have. Damaged files set aside by an earlier restore are kept, and so is
	// the repository itself.
	Delete bool
	// DryRun changes nothing; OnAction hears what would be done.
	DryRun bool
	// Overwrite is the policy for what exists. "" is OverwriteOlder.
	Overwrite Overwrite
	// Owners says whom restored entries belong to.
	Owners fsmeta.Ownership
	// Verify reads every file back and compares it before it gets its name.
	Verify bool
	// Budget bounds the memory for packs being read, in bytes. Default 128 MiB.
	Budget int64
	// Thaw brings back first what is in an archive class of the storage, and waits for
	// it. nil restores what can be read now, and ends when something cannot. Its
	// Include and Exclude are set by the restore.
	Thaw *ThawOptions
	// Progress hears about work done. It may be nil.
	Progress Progress
	// OnAction hears of each entry, OnIssue of each issue, also those that no
	// longer fit in the report. Calls come one at a time. Both may be nil.
	OnAction func(Action)
	OnIssue  func(Issue)
	// Clock is asked for durations. Default: the machine's.
	Clock clock.Clock
}

const defaultBudget = 128 << 20

// Restore brings a snapshot back. The report counts what was done, also when an
// error ended the work. The error is one of
//
//   - repository.ErrDamaged: everything whole was restored, and damaged files
//     are named in the report; a damaged file never stands under its own name
//   - ErrIncomplete: see there
//   - ErrTargetFull, or the context's cause: the work ended early; running the
//     same restore again goes on where it stopped
//   - anything else: the snapshot or the target could not be opened at all.
func Restore(ctx context.Context, repo *repository.Repository, snap repository.Snapshot, o RestoreOptions) (RestoreReport, error) {
	r, err := newRestorer(repo, snap, o)
	if err != nil {
		return RestoreReport{}, err
	}
	started, corrected := r.clock.Now(), repo.Corrections()
	if o.Thaw != nil {
		thaw := *o.Thaw
		thaw.Include, thaw.Exclude, thaw.Clock = o.Include, o.Exclude, r.clock
		if _, err := Thaw(ctx, repo, snap, thaw); err != nil {
			return RestoreReport{Snapshot: snap.ID, Target: o.Target}, err
		}
	}
	err = r.run(ctx)
	if errors.Is(err, storage.ErrArchived) {
		err = fault.New("restore", snap.ID, err, "restore with --thaw: it asks the storage to bring back what is needed, and waits")
	}
	report := r.log.report()
	report.Snapshot, report.Target, report.DryRun = snap.ID, o.Target, o.DryRun
	report.Duration = r.clock.Now().Sub(started)
	report.Seconds = report.Duration.Seconds()
	report.FetchedBytes = r.fetched.Load()
	report.ReadBackBytes = r.readBack.Load()
	report.Corrected = int64(repo.Corrections() - corrected)
	if err == nil && len(o.Include) > 0 && !r.matched && report.Damaged == 0 {
		return report, fault.New("restore", snap.ID, fmt.Errorf("%w: %s", ErrNothingFits, strings.Join(o.Include, " ")),
			"patterns are as in .gitignore, from the snapshot's root; see what is there: mahavishnu ls "+snap.ID)
	}
	if err == nil {
		err = report.err(snap)
	}
	return report, err
}

// restorer is one restore at work.
type restorer struct {
	repo    *repository.Repository
	loader  tree.Loader
	snap    repository.Snapshot
	o       RestoreOptions
	clock   clock.Clock
	choice  *selection
	log     *restoreLog
	workers int
	batch   int   // entries or parts planned at once; see batchParts
	root    bool  // running with root's rights over files
	storage inode // the repository's own directory, when it is on this machine

	ctx     context.Context // of the one run
	dirs    *dirHandles
	planner *planner
	matched bool               // something was asked for; the walker's alone
	leaders map[uint64]*leader // by hard-link group; the walker's alone
	mounts  []*dirNode         // where other file systems begin; the walker's alone
	files   openFiles
	runs    runs
	abort   context.CancelCauseFunc
	fetched atomic.Int64 // bytes from the storage
	// readBack counts bytes that were read back after they were written.
	readBack atomic.Int64
	cached   atomic.Bool // the target does not take writes past the page cache
	// troubles counts reads that failed in a row, see heard.
	troubles atomic.Int32
}

func newRestorer(repo *repository.Repository, snap repository.Snapshot, o RestoreOptions) (*restorer, error) {
	var err error
	if o.Target == "" {
		return nil, fault.New("restore", snap.ID, errors.New("no target directory"), "name one with --target DIR")
	}
	if o.Overwrite, err = ParseOverwrite(string(o.Overwrite)); err != nil {
		return nil, err
	}
	choice, err := newSelection(o.Include, o.Exclude)
	if err != nil {
		return nil, fault.New("restore", snap.ID, err, "patterns follow the rules of gitignore(5)")
	}
	if o.Budget <= 0 {
		o.Budget = defaultBudget
	}
	o.Progress = progressOr(o.Progress)
	r := &restorer{
		repo: repo, snap: snap, o: o, clock: clock.Or(o.Clock), choice: choice,
		log:     &restoreLog{onAction: o.OnAction, onIssue: o.OnIssue, progress: o.Progress},
		workers: int(max(1, min(o.Budget/runMemory, int64(runtime.GOMAXPROCS(0)+2)))),
		batch:   batchParts,
		root:    os.Geteuid() == 0,
		storage: storageInode(repo),
		leaders: map[uint64]*leader{},
	}
	r.loader = &countingLoader{treeLoader{repo}, &r.fetched}
	return r, nil
}

// run walks the tree on this goroutine, while others compare what exists, fetch
// and write.
func (r *restorer) run(ctx context.Context) error {
	node, err := loadRoot(ctx, r.loader, r.snap)
	if err != nil {
		return err
	}
	target, fresh, err := r.openTarget()
	if err != nil {
		return err
	}
	ctx, r.abort = context.WithCancelCause(ctx)
	defer r.abort(nil)
	r.ctx = ctx
	r.dirs = newDirHandles(target)
	defer r.dirs.close()
	r.planner = startPlanner(ctx, r)

	top := &dirNode{node: node, made: true, fresh: fresh, absent: target == nil, restored: r.choice.all()}
	if r.choice.all() {
		r.o.Progress.Add(ProgressDelta{ExpectFiles: r.snap.Totals.Files, ExpectBytes: r.snap.Totals.Bytes})
	}
	err = r.walk(ctx, top, node.Content, r.choice.all())
	r.releaseLeaders()
	err = errors.Join(err, r.planner.wait())
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	r.files.abandon(r)
	err = errors.Join(err, r.runs.close())
	if err == nil && target != nil && !r.o.DryRun {
		err = r.sync(target)
	}
	return err
}

// sync waits until all that was restored is on stable storage.
func (r *restorer) sync(target *fsmeta.Dir) error {
	errs := []error{target.SyncAll()}
	for _, d := range r.mounts {
		h, release, err := r.dirs.get(d)
		if err == nil {
			err = h.SyncAll()
			release()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// openTarget opens the target, making it when missing; a dry run of a missing
// target has none.
func (r *restorer) openTarget() (target *fsmeta.Dir, fresh bool, err error) {
	fail := func(err error) (*fsmeta.Dir, bool, error) {
		return nil, false, fault.New("open restore target", r.o.Target, err, "the target must be a directory you may write to")
	}
	if path := storagePath(r.repo); path != "" && leadsInto(r.o.Target, path) {
		return nil, false, fault.New("open restore target", r.o.Target, errStorage, "name a directory outside "+path)
	}
	_, err = os.Stat(r.o.Target)
	if errors.Is(err, os.ErrNotExist) {
		if r.o.DryRun {
			return nil, true, nil
		}
		if err := os.MkdirAll(r.o.Target, 0o700); err != nil {
			return fail(err)
		}
	} else if err != nil {
		return fail(err)
	}
	if target, err = fsmeta.OpenRoot(r.o.Target, nil); err != nil {
		return fail(err)
	}
	entries, err := target.Names()
	if err != nil {
		_ = target.Close()
		return fail(err)
	}
	return target, len(entries) == 0, nil
}

// join appends a name to a path within a snapshot.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	var b strings.Builder
	b.Grow(len(dir) + 1 + len(name))
	b.WriteString(dir)
	b.WriteByte('/')
	b.WriteString(name)
	return b.String()
}
