package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot/prune"
	"mahavishnu/terminal"
)

type pruneOptions struct {
	dryRun    bool
	direct    bool
	reseal    bool
	maxUnused float64
	maxRepack sizeFlag
	wait      durationFlag
	chosen    func(flag string) bool // whether a flag was given
}

func newPruneCommand(e *env) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove from the storage what no snapshot needs",
		Long: `Remove what no snapshot needs any more: data of snapshots that were forgotten, and
of backups that did not finish. Packs of which only a part is needed are rewritten
when enough would be gained. --dry-run tells what would be done with which packs and
why, and writes nothing.

Backups and restores go on meanwhile. What somebody at work may still rely on is
not removed before they have ended: with --wait the run waits for them, else the next
run removes it. Ctrl-C stops at once and safely: no snapshot loses anything, and the
next run goes on, also with sealing anew; --reseal=false forgets about that.

In a full storage it works in the room that is kept in reserve there: what needs no
rewriting goes first, and what finds no room is told, with how much must be free.

Whether workers are alive is asked of the configured queue; with --direct, or when it
cannot be reached, signs of life in the storage are watched instead, which takes
longer. While a source is held nothing is removed. Damage stops a run before it
removes anything: as long as it is not known what a snapshot needs, all of it may be.`,
		Example: `  mahavishnu prune --dry-run
  mahavishnu prune
  mahavishnu prune --wait 1h --max-unused 0
  mahavishnu prune --reseal`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.chosen = cmd.Flags().Changed
			return runPrune(cmd.Context(), e, o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&o.dryRun, "dry-run", "n", false, "remove nothing; tell what would be done with which packs, and why")
	flags.Float64Var(&o.maxUnused, "max-unused", 0, "`PERCENT` of what is stored that may be left unused because its pack is needed for the rest (default: backup.prune.max_unused)")
	flags.Var(&o.maxRepack, "max-repack", "rewrite at most this `SIZE` of packs in this run, such as 50GB; 0 sets no limit (default: backup.prune.max_repack)")
	flags.BoolVar(&o.reseal, "reseal", false, "also seal anew what older versions of the key have sealed")
	flags.Var(&o.wait, "wait", "wait this `DURATION` at most for others at work, such as 30m; 0s leaves to the next run what has to wait (the default)")
	flags.BoolVar(&o.direct, "direct", false, "do not ask the queue who is alive")
	return exits(cmd, exitIntegrity, exitFenced)
}

// sizeFlag and durationFlag read what the configuration reads.
type sizeFlag struct{ config.Size }

func (f *sizeFlag) Set(text string) error { return f.UnmarshalText([]byte(text)) }

// Type implements pflag.Value.
func (*sizeFlag) Type() string { return "SIZE" }

// String implements pflag.Value; an unset flag shows no default.
func (f *sizeFlag) String() string {
	if f.Size == 0 {
		return ""
	}
	return f.Size.String()
}

type durationFlag struct{ config.Duration }

func (f *durationFlag) Set(text string) error { return f.UnmarshalText([]byte(text)) }

// Type implements pflag.Value.
func (*durationFlag) Type() string { return "DURATION" }

// String implements pflag.Value; an unset flag shows no default.
func (f *durationFlag) String() string {
	if f.Duration == 0 {
		return ""
	}
	return f.Duration.String()
}

func runPrune(ctx context.Context, e *env, o pruneOptions) (err error) {
	if o.maxUnused < 0 || o.maxUnused > 100 {
		return usagef("mahavishnu prune", "--max-unused is a percentage from 0 to 100, not %v", o.maxUnused)
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	repo, err := e.openTo(ctx, !o.dryRun)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	held, err := repo.Holds(ctx)
	if err != nil {
		return err
	}
	if len(held) > 0 && !o.dryRun {
		return repo.NothingHeld(ctx)
	}
	options := prune.Options{
		DryRun: o.dryRun, Reseal: o.reseal, Wait: o.wait.Std(),
		MaxUnused: float64(cfg.Backup.Prune.MaxUnused), MaxRepack: int64(cfg.Backup.Prune.MaxRepack),
		Hold: repo.NothingHeld, Clock: e.clock,
	}
	options.DropReseal = o.chosen != nil && o.chosen("reseal") && !o.reseal
	if o.chosen != nil && o.chosen("max-unused") {
		options.MaxUnused = o.maxUnused
	}
	if o.chosen != nil && o.chosen("max-repack") {
		options.MaxRepack = int64(o.maxRepack.Size)
	}
	if keeper, closeQueue := e.keeper(ctx, cfg, o.direct); keeper != nil {
		options.Keeper = keeper
		defer closeQueue()
	}
	shown := newPruneProgress(e)
	options.Progress = shown.update
	report, err := prune.Run(ctx, repo.Repository, options)
	shown.stop()
	e.tellPrune(repo.Repository, report, held, err)
	return e.pruneError(ctx, report, err)
}

// keeper asks the configured queue who is alive, if there is one. The signs of
// life in the storage serve as well, so a queue that is away is no error.
func (e *env) keeper(ctx context.Context, cfg *config.Config, direct bool) (keeper lease.Keeper, closeQueue func()) {
	if direct || cfg.File() == "" || app.QueueURL(cfg) == "" {
		return nil, nil
	}
	q, err := e.queue(ctx)
	if err != nil {
		e.term.Warnf("the queue cannot be asked who is alive (%v); workers' sessions are waited for, --direct says that this is meant", err)
		return nil, nil
	}
	return app.Sessions(q.Bus, cfg.Node.Name), func() { _ = q.Close() } // nothing of ours can be lost
}

// pruneError is what the command ends with, once the report is told.
func (e *env) pruneError(ctx context.Context, report prune.Report, err error) error {
	switch {
	case err != nil && ctx.Err() != nil:
		e.term.Warnf("interrupted; no snapshot lost anything: %s removed, the next run goes on from here", terminal.Bytes(report.RemovedBytes))
		return context.Cause(ctx)
	case errors.Is(err, repository.ErrDamaged), errors.Is(err, repository.ErrBlobMissing), errors.Is(err, repository.ErrMissing):
		return fault.New("prune", "", errors.Join(errIntegrity, err),
			"nothing was removed; mend it with `mahavishnu verify --repair`, or let go of what cannot be mended with `mahavishnu forget --damaged SNAPSHOT`")
	}
	return err
}

// pruneProgress shows what a run is doing.
type pruneProgress struct {
	e     *env
	stage prune.Stage
	shown *terminal.Progress
}

func newPruneProgress(e *env) *pruneProgress { return &pruneProgress{e: e} }

// pruneVerbs say what a stage does.
var pruneVerbs = map[prune.Stage]string{
	prune.StageSessions: "looking who is at work",
	prune.StageMark:     "walking snapshots",
	prune.StageRepack:   "rewriting packs",
	prune.StageWait:     "waiting for others at work",
	prune.StageSweep:    "removing packs",
	prune.StageReseal:   "sealing anew",
}

// pruneUnits are what a stage counts.
var pruneUnits = map[prune.Stage]string{
	prune.StageSessions: "session", prune.StageMark: "snapshot", prune.StageWait: "session", prune.StageSweep: "pack", prune.StageReseal: "object",
}

// update hears of progress from the run's one goroutine.
func (p *pruneProgress) update(now prune.Progress) {
	if now.Stage != p.stage {
		p.stop()
		p.stage = now.Stage
		p.shown = p.e.term.Progress(pruneVerbs[now.Stage])
	}
	p.shown.Update(func(w *terminal.Work) {
		if now.Stage == prune.StageRepack {
			w.Bytes, w.TotalBytes, w.Unit = now.Done, now.Total, "pack"
			return
		}
		w.Files, w.TotalFiles, w.Unit = now.Done, now.Total, pruneUnits[now.Stage]
	})
}

func (p *pruneProgress) stop() {
	if p.shown != nil {
		p.shown.Stop()
		p.shown = nil
	}
}

// waitingSince is how long somebody has been at work.
func waitingSince(s lease.Session, now time.Time) string {
	if s.Started.IsZero() {
		return ""
	}
	return terminal.Duration(now.Sub(s.Started).Truncate(time.Second))
}
