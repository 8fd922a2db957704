package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/compress"
	"mahavishnu/snapshot/chunker"
	"mahavishnu/snapshot/exclude"
	"mahavishnu/snapshot/tree"
)

// abortTime bounds how long an interrupted backup may take to put away what it
// has in memory.
const abortTime = 2 * time.Minute

// Backup makes a snapshot of a source. When ctx ends, what was stored stays
// for the next run, and the error wraps ctx's. The result's statistics are
// filled in with an error too.
func Backup(ctx context.Context, repo *repository.Repository, o BackupOptions) (Result, error) {
	b := &backup{repo: repo, opts: o, clock: clock.Or(o.Clock)}
	b.start = b.clock.Now()
	b.tally.progress = progressOr(o.Progress)
	err := b.run(ctx)
	b.result.Stats.Duration = b.clock.Now().Sub(b.start)
	if err == nil {
		return b.result, nil
	}
	b.result.Snapshot = repository.Snapshot{}
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if !errors.Is(cause, ctx.Err()) {
			cause = fmt.Errorf("%w (%w)", cause, ctx.Err())
		}
		return b.result, fault.New("back up", o.Source, fmt.Errorf("interrupted: %w", cause),
			"run the same command again: what is stored already will be reused")
	}
	return b.result, fault.New("back up", o.Source, err, "")
}

// backup is one run.
type backup struct {
	repo   *repository.Repository
	opts   BackupOptions
	clock  clock.Clock
	start  time.Time
	tally  tally
	result Result
}

func (b *backup) run(ctx context.Context) error {
	o := &b.opts
	matcher, err := b.check()
	if err != nil {
		return err
	}
	src, err := openSource(o.Path)
	if err != nil {
		return err
	}
	defer src.root.Close()
	parent, done, known, damaged, err := chooseParent(ctx, b.repo, o, src.recorded)
	b.result.ParentErrors, b.result.Known = damaged, known
	if err != nil {
		return err
	}
	if done != nil {
		b.result.Snapshot, b.result.Existing = *done, true
		// The attempt that made it may have died before it stored the copy.
		return b.repo.Mend(ctx)
	}
	session, err := b.repo.Session(ctx, repository.SessionOptions{
		Source: o.Source, Compression: o.Compression, Type: o.Type,
		Budget: o.Budget, VerifyEvery: o.VerifyEvery, Fence: o.Fence, Clock: b.clock, Lease: o.Lease,
	})
	if err != nil {
		return err
	}
	err = b.capture(ctx, session, src, parent, matcher)
	if err != nil {
		// What is in memory is kept even though ctx may have ended.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		_, aborted := session.Abort(end)
		err = fault.Join(err, aborted)
	}
	b.tally.report(&b.result, session.Stats())
	return err
}

// check fills in defaults and refuses what makes no sense.
func (b *backup) check() (*exclude.Matcher, error) {
	o := &b.opts
	var wrong []error
	if o.Source == "" {
		wrong = append(wrong, errors.New("the source has no name"))
	}
	if o.Path == "" {
		wrong = append(wrong, fault.New("open source", "", errors.New("the path is empty"), "give the directory to back up"))
	}
	if o.Job != "" && o.JobTime.IsZero() {
		wrong = append(wrong, errors.New("a job without a time"))
	}
	switch o.Type {
	case "":
		o.Type = Incremental
	case Incremental, Full:
	case Archival:
		if o.Compression == (compress.Setting{}) {
			o.Compression = compress.Best()
		}
	default:
		wrong = append(wrong, fmt.Errorf("backup type %q: want %s, %s or %s", o.Type, Incremental, Full, Archival))
	}
	matcher, err := exclude.New(o.Exclude)
	wrong = append(wrong, err)
	if o.Readers <= 0 {
		o.Readers = runtime.GOMAXPROCS(0)
	}
	if o.Host == "" {
		if o.Host, err = os.Hostname(); err != nil {
			wrong = append(wrong, fmt.Errorf("name of this machine: %w", err))
		}
	}
	return matcher, errors.Join(wrong...)
}

// capture walks the source and commits the snapshot.
func (b *backup) capture(ctx context.Context, session *repository.Session, src *source, old *repository.Snapshot, matcher *exclude.Matcher) error {
	p, err := b.openParent(ctx, session, old)
	if err != nil {
		return err
	}
	root, lost, err := src.root.ReadSelf()
	if err != nil {
		return err
	}
	w := &walk{
		opts: &b.opts, matcher: matcher, parent: p, saver: treeSaver{session}, tally: &b.tally,
		device: root.Device, storage: storageInode(b.repo),
	}
	if w.storage == (inode{root.Device, root.Inode}) && root.Inode != 0 && src.only == "" {
		return fault.New("open source", src.recorded, errors.New("it is the repository itself"), "name the directory whose files are to be kept")
	}
	cutter, err := b.chunker()
	if err != nil {
		return err
	}
	readers := make([]*reader, b.opts.Readers)
	for i := range readers {
		readers[i] = newReader(session, cutter, &b.tally)
	}
	top := &directory{dir: src.root}
	e := &entry{node: root, old: p.root}
	if e.node.Content, err = w.run(ctx, top, src.only, readers); err != nil {
		return err
	}
	if top.incomplete.Load() {
		e.node.Flags |= tree.Incomplete
	}
	w.lost(top, e, lost)
	if err := w.finish(ctx, nil, e); err != nil {
		return err
	}
	if err := b.checkEmpty(&e.node, src); err != nil {
		return err
	}
	id, err := tree.SaveRoot(ctx, w.saver, &e.node)
	if err != nil {
		return err
	}
	return b.commit(ctx, session, id, src, old)
}

// openParent loads the parent's root. A parent that cannot be read costs no
// more than reading everything anew.
func (b *backup) openParent(ctx context.Context, session *repository.Session, old *repository.Snapshot) (*parent, error) {
	trust := b.opts.Type == Incremental
	p := &parent{blobs: reusable{b.repo, session, trust}, trust: trust}
	if old == nil {
		return p, nil
	}
	p.started = old.Start
	root, err := tree.LoadRoot(ctx, p.blobs, tree.ID(old.Root))
	switch {
	case err == nil:
		p.root = &root
		b.tally.progress.Add(ProgressDelta{ExpectFiles: old.Totals.Files, ExpectBytes: old.Totals.Bytes})
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !errors.Is(err, errNotReusable):
		b.tally.parentFailed(err)
	}
	return p, nil
}

func (b *backup) chunker() (*chunker.Chunker, error) {
	c := b.repo.Config().Chunker
	return chunker.New(b.repo.ChunkerSecret(), chunker.Params{Min: c.Min, Avg: c.Avg, Max: c.Max})
}

// checkEmpty refuses a snapshot of nothing: the next retention run might keep it
// instead of one with data.
func (b *backup) checkEmpty(root *tree.Node, src *source) error {
	switch {
	case !root.Content.IsEmpty() || b.opts.AllowEmpty:
		return nil
	case b.tally.unreadable.Load() > 0:
		first := b.tally.unreadables[0]
		return fault.New("read source", src.recorded, fmt.Errorf("no entry of it can be read, the first is %w", first), "run the backup as a user who may read it")
	case b.tally.excluded.Load() > 0:
		return fault.New("read source", src.recorded, fmt.Errorf("%w: all its entries are excluded", ErrEmptySource), "change the exclude patterns")
	}
	return fault.New("read source", src.recorded, ErrEmptySource, "if its file system is not mounted, mount it; if it is really empty, allow that with --allow-empty")
}

func (b *backup) commit(ctx context.Context, session *repository.Session, root tree.ID, src *source, old *repository.Snapshot) error {
	o, t := &b.opts, &b.tally
	snap := repository.Snapshot{
		Source: o.Source, Type: o.Type, Time: b.start, Start: b.start.UTC(), End: b.clock.Now().UTC(),
		Host: o.Host, Path: src.recorded, Root: repository.ID(root),
		Job: o.Job, Attempt: o.Attempt, Tags: o.Tags, Labels: o.Labels, Engine: o.Engine,
		UnreadableTotal: t.unreadable.Load(), ChangedTotal: t.changed.Load(),
	}
	if o.Job != "" {
		snap.Time = o.JobTime
	}
	if old != nil {
		snap.Parent = old.ID
	}
	for _, c := range []struct {
		sum *int64
		of  Counts
	}{{&snap.Totals.Files, counts(&t.files)}, {&snap.Totals.Dirs, counts(&t.dirs)}, {&snap.Totals.Others, counts(&t.others)}} {
		*c.sum = c.of.Total()
	}
	snap.Totals.Bytes = t.bytes.Load()
	for _, u := range t.unreadables {
		snap.Unreadable = append(snap.Unreadable, repository.Unreadable{Path: Printable(u.Path), Err: u.Err.Error()})
	}
	for _, path := range t.changedPaths {
		snap.Changed = append(snap.Changed, Printable(path))
	}
	committed, err := session.Commit(ctx, snap)
	if err != nil {
		return err
	}
	b.result.Snapshot = committed
	b.result.Known++
	b.result.Existing = committed.Root != snap.Root || committed.Attempt != snap.Attempt
	return nil
}
