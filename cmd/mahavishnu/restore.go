package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/repository"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/fsmeta"
	"mahavishnu/terminal"
)

type restoreOptions struct {
	target    string
	source    string
	include   []string
	exclude   []string
	overwrite string
	owner     string
	region    string
	delete    bool
	dryRun    bool
	verify    bool
	noVerify  bool
	direct    bool
	staging   bool
	detach    bool
	thaw      thawOptions
}

func newRestoreCommand(e *env) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore SNAPSHOT --target DIR",
		Short: "Restore a snapshot, or a part of it",
		Long: `Restore a snapshot into a directory, which becomes what the source's root was.
The work is done here, straight on the repository: nothing but this binary, the
storage and the key is needed. --direct says so explicitly, for runbooks.

Nothing outside the target is ever written. Without --overwrite a file that is
newer than the snapshot's is kept and named. In place, only what differs is
written; after an interruption the same command goes on where it stopped. The
repository and the key ring in use are always left alone.

A damaged file never stands under its own name: its whole parts are put beside
it, and it is named. With --staging a worker restores into its own staging
directory instead, under the name given as --target.`,
		Example: `  mahavishnu restore latest --target /tmp/back
  mahavishnu restore latest:home --target /home --include /ops/documents/ --dry-run
  mahavishnu restore 4f2a9c --target /srv/data --overwrite always --delete
  mahavishnu restore latest --direct --repository /mnt/backups --key ~/mahavishnu.key --target back
  mahavishnu restore latest:home --staging --target home-check`,
		Args: takes(1, 1, "the snapshot (an id, latest, or latest:SOURCE)"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRestore(cmd.Context(), e, args[0], o) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.target, "target", "", "restore into this `DIR`; it is made when missing (required)")
	flags.StringVar(&o.source, "source", "", "refuse a snapshot of any other `SOURCE`, as a safeguard")
	flags.StringArrayVar(&o.include, "include", nil, "only what fits this `PATTERN`, as in .gitignore; may be repeated")
	flags.StringArrayVar(&o.exclude, "exclude", nil, "not what fits this `PATTERN`; may be repeated")
	flags.StringVar(&o.overwrite, "overwrite", string(snapshot.OverwriteOlder),
		"`WHAT` to replace of what is there: older (keep what is newer), always, if-changed (trust size and time), never")
	flags.StringVar(&o.owner, "owner", "ids",
		"`WHOM` files belong to: ids (the recorded numbers), names (the recorded names, where known here) or none (you)")
	flags.BoolVar(&o.delete, "delete", false, "delete from the target what the snapshot does not have")
	flags.BoolVarP(&o.dryRun, "dry-run", "n", false, "change nothing; list what would be done")
	flags.BoolVar(&o.verify, "verify", false, "read every file back before it gets its name (default: as configured, with --staging at the worker)")
	flags.BoolVar(&o.noVerify, "no-verify", false, "do not read files back, whatever the configuration says")
	o.thaw.add(flags)
	flags.BoolVar(&o.direct, "direct", false, "do the work here, without the queue (the default)")
	flags.BoolVar(&o.staging, "staging", false, "let a worker restore into its staging directory")
	flags.StringVar(&o.region, "region", messages.AnyRegion, "with --staging: a worker of this `REGION`")
	flags.BoolVar(&o.detach, "detach", false, "with --staging: do not wait for the job")
	return exits(cmd, exitUnreadable, exitIntegrity, exitFenced)
}

func (o restoreOptions) check() error {
	const command = "mahavishnu restore"
	switch {
	case o.target == "":
		return usagef(command, "--target DIR is missing")
	case o.direct && o.staging:
		return usagef(command, "give --direct or --staging, not both")
	case o.verify && o.noVerify:
		return usagef(command, "give --verify or --no-verify, not both")
	}
	if err := o.thaw.check(command, o.staging); err != nil {
		return err
	}
	if err := oneOf(command, "--owner", o.owner, "ids", "names", "none"); err != nil {
		return err
	}
	_, err := snapshot.ParseOverwrite(o.overwrite)
	if err != nil {
		return &usageError{command, err}
	}
	return nil
}

func runRestore(ctx context.Context, e *env, ref string, o restoreOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if o.staging {
		return e.restoreByQueue(ctx, ref, o)
	}
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	done, err := e.reading(ctx, repo.Repository)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	snap, err := repo.FindSnapshot(ctx, ref)
	if err != nil {
		return err
	}
	if o.source != "" && snap.Source != o.source {
		return fault.New("restore", snap.ID, fmt.Errorf("it is a snapshot of %s, not of %s", snap.Source, o.source), "mahavishnu snapshots --source "+o.source)
	}
	target, err := filepath.Abs(o.target)
	if err != nil {
		return fault.New("find target", o.target, err, "")
	}
	return e.restoreInto(ctx, cfg, repo.Repository, snap, target, o)
}

// reading tells collectors of garbage that somebody reads, and looks at the
// repository again: what is there from now on stays until done is called.
func (e *env) reading(ctx context.Context, repo *repository.Repository) (done func() error, err error) {
	held, err := repo.Reader(ctx, lease.Options{Clock: e.clock})
	if err != nil {
		return nil, err
	}
	done = func() error { return held.Close(context.WithoutCancel(ctx)) }
	if held.Held() {
		err = repo.Refresh(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, done())
	}
	return done, nil
}

func (e *env) restoreInto(ctx context.Context, cfg *config.Config, repo *repository.Repository, snap repository.Snapshot, target string, o restoreOptions) error {
	validation := cfg.Backup.Validation
	issues := issueTeller{e: e}
	options := snapshot.RestoreOptions{
		Target: target, Include: o.include, Exclude: o.exclude, Delete: o.delete, DryRun: o.dryRun,
		Overwrite: snapshot.Overwrite(o.overwrite), Clock: e.clock,
		Verify:   o.verify || validation.OnRestore() && !o.noVerify,
		Owners:   ownership(o.owner),
		OnAction: func(a snapshot.Action) { e.tellAction(a, o.dryRun) },
		OnIssue:  issues.tell,
	}
	if pattern := e.ownKey(target); pattern != "" {
		options.Exclude = append(slices.Clone(options.Exclude), pattern)
	}
	verb := "restoring"
	if o.dryRun {
		verb = "comparing"
	}
	e.term.Sayf("%s snapshot %s of %s, %s, into %s", verb, snap.ID, terminal.Name(snap.Source), terminal.Moment(snap.Time.Local()), target)
	progress := e.term.Progress(verb)
	options.Progress = adapter{progress}
	options.Thaw = e.thaw(o)
	report, err := snapshot.Restore(ctx, repo, snap, options)
	progress.Stop()
	if ctx.Err() != nil {
		e.term.Warnf("interrupted; %s restored until now stay in %s. The same command again goes on from there", terminal.Plural(report.Files, "file"), target)
		return err
	}
	issues.end()
	e.tellRestore(report)
	e.tellCorrections(repo)
	if report.Lost > 0 && o.owner != "none" && os.Geteuid() > 0 {
		e.term.Warnf("only root may give files to others; to have all of them as your own: --owner none")
	}
	if errors.Is(err, snapshot.ErrTargetFull) {
		return fault.New("restore", snap.ID, err, "make room in "+target+"; the same command again goes on where it stopped")
	}
	return err
}

// ownKey returns the pattern of the key ring in use, when it lies in the target.
// An older one in its place would lack the versions made since, and with them go
// the backups that they sealed.
func (e *env) ownKey(target string) string {
	path, err := e.keyPath()
	if err != nil || !inside(target, path) {
		return ""
	}
	relative, err := filepath.Rel(resolved(target), resolved(path))
	if err != nil {
		return ""
	}
	var pattern strings.Builder
	for _, r := range filepath.ToSlash(relative) {
		if strings.ContainsRune(`*?[]\!# `, r) {
			pattern.WriteByte('\\')
		}
		pattern.WriteRune(r)
	}
	return "/" + pattern.String()
}

// ownership is what --owner means to the engine.
func ownership(word string) fsmeta.Ownership {
	switch word {
	case "names":
		return fsmeta.OwnerNames
	case "none":
		return fsmeta.OwnerNone
	default:
		return fsmeta.OwnerIDs
	}
}

// readBack is what the flags say about reading back; nil leaves it to the worker.
func (o restoreOptions) readBack() *bool {
	if o.verify || o.noVerify {
		return &o.verify
	}
	return nil
}

// restoreByQueue lets a worker restore into its staging directory.
func (e *env) restoreByQueue(ctx context.Context, ref string, o restoreOptions) error {
	overwrite := o.overwrite
	if overwrite == string(snapshot.OverwriteOlder) {
		overwrite = ""
	}
	spec := &messages.RestoreSpec{
		Snapshot: ref, Source: o.source, Target: o.target, Include: o.include, Exclude: o.exclude,
		Overwrite: overwrite, Delete: o.delete, DryRun: o.dryRun, Verify: o.readBack(),
	}
	return e.runJob(ctx, spec, o.region, "restoring", o.detach, func(entry bus.Entry) {
		e.term.Sayf("%s", indentJSON(entry.Result))
	})
}
