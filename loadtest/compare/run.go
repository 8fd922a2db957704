package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/loadtest/peers"
	"mahavishnu/loadtest/process"
	"mahavishnu/terminal"
)

// Options say what to compare.
type Options struct {
	Corpus corpus.Spec
	// Versions of a corpus that changes, the first included.
	Versions int
	// Runs is how often everything is done.
	Runs     int
	Programs []peers.Program
	// Notes are passed on to the comparison.
	Notes []string
	// Dir holds everything; it must not exist or be empty. It is removed at the
	// end, and what a program left there after each of its runs, unless Keep is
	// set.
	Dir  string
	Keep bool
	// Runner starts the programs.
	Runner process.Runner
	// Progress hears what begins. It may be nil.
	Progress func(what string)
	// Before is an earlier comparison of the same, which was cut off: what it has
	// is not measured again.
	Before Comparison
	// Save is given what is measured so far, whenever a program has done its work
	// of a run. It may be nil.
	Save func(Comparison) error
}

// bench is a comparison being made.
type bench struct {
	o    Options
	tree string
	out  *Comparison
	done []turn // what needs no measuring any more

	now   clock.Clock
	began time.Time
}

// Run compares. What a program fails at is noted in the comparison and does not
// end it; what was measured before an error or an interruption is returned with it.
func Run(ctx context.Context, o Options) (c Comparison, err error) {
	now := clock.Or(o.Runner.Clock)
	began := now.Now()
	c = Comparison{
		When: began.UTC(), Runs: o.Runs, Programs: o.Programs, Notes: slices.Clone(o.Notes),
		Corpus: Corpus{Kind: string(o.Corpus.Kind), Description: o.Corpus.Describe(), Seed: o.Corpus.Seed},
	}
	if o.Runs < 1 || len(o.Programs) == 0 {
		return c, fault.New("compare", o.Dir, errors.New("nothing to do: at least one run and one program are needed"), "")
	}
	leftOut := peers.ManyVersions
	if o.Corpus.Kind.Changes() {
		leftOut = peers.OneTree
	}
	c.Programs = slices.DeleteFunc(slices.Clone(o.Programs), func(p peers.Program) bool { return p.Where == leftOut })
	if len(c.Programs) == 0 {
		return c, fault.New("compare", o.Dir, errors.New("none of the programs can be compared on this corpus"), "")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return c, fault.New("compare", o.Dir, err, "")
	}
	if err := prepare(o, len(c.Programs)); err != nil {
		return c, err
	}
	if !o.Keep {
		defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	}
	b := &bench{o: o, tree: filepath.Join(o.Dir, "tree"), out: &c, now: now, began: began}
	c.Machine = Inspect(o.Dir)
	if err := b.resume(o.Before); err != nil {
		return c, err
	}
	defer func() { c.Duration += now.Now().Sub(began) }()
	for run := range o.Runs {
		if b.all(run) {
			continue
		}
		if o.Corpus.Kind.Changes() {
			err = errors.Join(b.series(ctx, run), b.save(ctx))
		} else {
			err = b.once(ctx, run)
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

// prepare makes the directory, when there is room for all that will be in it.
func prepare(o Options, programs int) error {
	entries, err := os.ReadDir(o.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.New("compare in", o.Dir, err, "")
	}
	if len(entries) > 0 {
		return fault.New("compare in", o.Dir, errors.New("the directory is not empty"), "name a new directory with --dir")
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return fault.New("compare in", o.Dir, err, "")
	}
	free, err := freeSpace(o.Dir)
	if err != nil {
		return fault.New("compare in", o.Dir, err, "")
	}
	if need := o.room(programs); free < need {
		short := fault.New("compare in", o.Dir, fmt.Errorf("%s are needed and %s are free", terminal.Bytes(need), terminal.Bytes(free)),
			"free space there, compare a smaller --size, or name another disk with --dir")
		return errors.Join(short, os.Remove(o.Dir)) // it is empty
	}
	return nil
}

// room is how many bytes a comparison may take at its fullest: the tree, what is
// restored, and one repository, which is larger than the tree when nothing
// shrinks and there is parity; all repositories at once when versions are
// compared or everything is kept.
func (o Options) room(programs int) int64 {
	tree := o.Corpus.Bytes()
	repository := tree + tree/5
	total := 2*tree + repository
	switch {
	case o.Corpus.Kind.Changes():
		// Each version stores the part that changed, at most a tenth.
		grown := repository + repository/10*int64(o.Versions)
		total = 2*tree + grown*int64(programs)
		if o.Keep {
			total = tree + (grown+tree)*int64(programs*o.Runs)
		}
	case o.Keep:
		total = tree + (repository+tree)*int64(programs*o.Runs)
	}
	return total + 100<<20
}

func (b *bench) say(format string, args ...any) {
	if b.o.Progress != nil {
		b.o.Progress(fmt.Sprintf(format, args...))
	}
}

// order returns the programs in the order of a run: each begins with another one.
func (b *bench) order(run int) []peers.Program {
	n := run % len(b.out.Programs)
	return append(slices.Clone(b.out.Programs[n:]), b.out.Programs[:n]...)
}

// once has each program back the same tree up, one program after another, so
// that there is only one repository at a time.
func (b *bench) once(ctx context.Context, run int) error {
	if _, err := os.Lstat(b.tree); err != nil {
		b.say("make the tree: %s", b.o.Corpus.Describe())
		size, err := corpus.Write(ctx, b.tree, b.o.Corpus)
		if err != nil {
			return err
		}
		b.out.Corpus.Files, b.out.Corpus.Bytes = int64(b.o.Corpus.Files), size
	}
	for _, p := range b.order(run) {
		if b.has(run, p) {
			continue
		}
		if err := errors.Join(b.program(ctx, run, p), b.save(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// program has one program do all its work.
func (b *bench) program(ctx context.Context, run int, p peers.Program) error {
	at, err := b.begin(ctx, run, p)
	if err != nil {
		return err
	}
	if at.failed {
		return b.end(at)
	}
	if err := warm(ctx, b.tree); err != nil {
		return err
	}
	if err := b.step(ctx, at, FirstBackup, at.plan.Backup(0)); err != nil {
		return err
	}
	if at.plan.Again {
		if err := b.step(ctx, at, Unchanged, at.plan.Backup(1)); err != nil {
			return err
		}
	}
	if err := b.readBack(ctx, at); err != nil {
		return err
	}
	return b.end(at)
}

// contest is a program at work in one run.
type contest struct {
	run, version int
	program      peers.Program
	place        peers.Place
	plan         peers.Plan
	dir          string
	failed       bool // what follows cannot be done
}

// begin makes the place of a program and prepares it.
func (b *bench) begin(ctx context.Context, run int, p peers.Program) (*contest, error) {
	dir := filepath.Join(b.o.Dir, fmt.Sprintf("run%d-%s", run+1, slug(p.Name)))
	place := peers.Place{
		Tree: b.tree, Repository: filepath.Join(dir, "repository"),
		Restored: filepath.Join(dir, "restored"), State: filepath.Join(dir, "state"),
	}
	at := &contest{run: run, program: p, place: place, plan: p.Plan(place), dir: dir}
	if err := os.MkdirAll(place.State, 0o700); err != nil {
		return nil, fault.New("compare in", dir, err, "")
	}
	for path, text := range at.plan.Files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, fault.New("write", path, err, "")
		}
	}
	for _, cmd := range at.plan.Prepare {
		if _, _, err := b.o.Runner.Run(ctx, cmd); err != nil {
			if err := b.fails(ctx, at, FirstBackup, err); err != nil {
				return nil, err
			}
			break
		}
	}
	return at, nil
}

// fails notes that a program could not do its work, unless we were interrupted.
func (b *bench) fails(ctx context.Context, at *contest, work Work, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	at.failed = true
	b.say("  failed: %v", err)
	b.out.Measured = append(b.out.Measured, Measure{
		Program: at.program.Name, Work: work, Run: at.run, Version: at.version, Failure: err.Error(),
	})
	return nil
}

// step measures one command, and after a backup the size of the repository. A
// program that failed before does nothing more.
func (b *bench) step(ctx context.Context, at *contest, work Work, cmd process.Command) error {
	if at.failed {
		return nil
	}
	name := string(work)
	if b.out.Series() {
		name += fmt.Sprintf(", version %d", at.version+1)
	}
	b.say("run %d of %d: %s: %s", at.run+1, b.o.Runs, at.program.Name, name)
	cmd.Sync = b.o.Dir
	usage, _, err := b.o.Runner.Run(ctx, cmd)
	if err != nil {
		return b.fails(ctx, at, work, err)
	}
	m := Measure{Program: at.program.Name, Work: work, Run: at.run, Version: at.version, Usage: usage}
	if work == FirstBackup || work == Unchanged || work == NextBackup {
		if m.Stored, err = storedBytes(at.place.Repository); err != nil {
			return err
		}
	}
	b.out.Measured = append(b.out.Measured, m)
	b.say("  %s, %s of processor time, %s at most", terminal.Duration(usage.Wall), terminal.Duration(usage.CPU()), terminal.Bytes(usage.PeakMemory))
	return nil
}

// readBack measures what reads a repository, and compares what is restored.
func (b *bench) readBack(ctx context.Context, at *contest) error {
	if at.failed {
		return nil
	}
	if len(at.plan.Check.Args) > 0 {
		if err := warm(ctx, at.place.Repository); err != nil {
			return err
		}
		if err := b.step(ctx, at, Check, at.plan.Check); err != nil {
			return err
		}
	}
	if at.failed || at.plan.Restore == nil {
		return nil
	}
	if err := warm(ctx, at.place.Repository); err != nil {
		return err
	}
	if err := b.step(ctx, at, Restore, at.plan.Restore()); err != nil || at.failed {
		return err
	}
	_, differ, err := corpus.Compare(ctx, b.tree, at.plan.Root)
	if err != nil {
		return b.fails(ctx, at, Restore, fmt.Errorf("what was restored cannot be compared: %w", err))
	}
	// Some programs restore into a directory that is there, and leave it as it is.
	differ = slices.DeleteFunc(differ, func(line string) bool { return strings.HasPrefix(line, ".: has ") })
	if len(differ) > 0 {
		return b.fails(ctx, at, Restore, fmt.Errorf("%d entries differ after the restore, the first: %s", len(differ), differ[0]))
	}
	return nil
}

// end clears away what a program left.
func (b *bench) end(at *contest) error {
	if b.o.Keep {
		return nil
	}
	if err := os.RemoveAll(at.dir); err != nil {
		return fault.New("clear away", at.dir, err, "")
	}
	if b.out.Corpus.Bytes < worthDropping {
		return nil
	}
	if err := dropCaches(); err != nil {
		b.note("caches could not be emptied after files were deleted (" + err.Error() + "): making files may be slower for whoever comes next")
	}
	return nil
}

// worthDropping is the size of a tree from which on the caches of the machine are
// emptied after it was deleted: for less, nobody else should be made to wait.
const worthDropping = 256 << 20

// note adds a note to the comparison once.
func (b *bench) note(text string) {
	if !slices.Contains(b.out.Notes, text) {
		b.out.Notes = append(b.out.Notes, text)
	}
}

// slug makes a file name of a program's name.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
}
