package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/replication"
	"mahavishnu/terminal"
)

type replicateOptions struct {
	direct bool
	detach bool
	force  bool
	anew   bool
}

func newReplicateCommand(e *env) *cobra.Command {
	var o replicateOptions
	cmd := &cobra.Command{
		Use:   "replicate [COPY]...",
		Short: "Copy the repository to other regions now",
		Long: `Copy what the repositories in other regions lack, as the pairs under
backup.replication.regions say. A copy is named by the region that keeps it, or as
PRIMARY@REGION where that keeps several; without a name all are brought up to date.

Objects are copied as they are, without the key, and checked on arrival. What is
copied restores at every moment: a snapshot shows in the copy when all that it needs
is there. An interrupted run goes on where it stopped. What was deleted in the primary
goes from the copy after backup.replication.delete_after_days, never while a source is
held, and never because the primary is suddenly empty: --force says that it is meant.
Where there was a copy and is none, nothing is copied: its disk is more likely not mounted.

Workers of the region that copies do it, asked through the queue; this happens by
itself after each backup and by interval. With --direct it is done here.`,
		Example: `  mahavishnu replicate
  mahavishnu replicate eu-west-1
  mahavishnu replicate us-east-1@eu-west-1 --direct`,
		RunE: func(cmd *cobra.Command, args []string) error { return runReplicate(cmd.Context(), e, args, o) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&o.direct, "direct", false, "do the work here, without the queue")
	flags.BoolVar(&o.detach, "detach", false, "put the jobs into the queue and do not wait for them")
	flags.BoolVar(&o.force, "force", false, "believe the primary although most of what it had is gone from it")
	flags.BoolVar(&o.anew, "new", false, "with --direct: begin a new copy where there was one and nothing is left of it")
	return exits(cmd, exitIntegrity)
}

// copies returns the pairs that a command is about: those named, else all.
func (e *env) copies(command string, args []string) (*config.Config, []config.RegionPair, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, nil, err
	}
	if len(args) == 0 {
		all := cfg.Backup.Replication.Regions
		if len(all) == 0 {
			return nil, nil, usagef(command, "the configuration names no pair of regions under backup.replication.regions")
		}
		return cfg, all, nil
	}
	var pairs []config.RegionPair
	for _, arg := range args {
		pair, _, err := cfg.Replica(arg)
		if err != nil {
			return nil, nil, &usageError{command, err}
		}
		pairs = append(pairs, pair)
	}
	return cfg, pairs, nil
}

// replicas opens both ends of copies.
func (e *env) replicas(cfg *config.Config) app.Replicas {
	access := app.AccessTo(cfg)
	access.Clock = e.clock
	if e.members == nil {
		e.members = &members{warnf: e.term.Warnf}
	}
	access.Storage = access.Storage.Members(e.members.tell)
	if cfg.File() == "" {
		access.CacheDir, access.DataDir = "", "" // the defaults' directories were nobody's choice
	}
	if e.KeyPath != "" {
		access.KeyPath = e.KeyPath
	}
	return app.Replicas{Config: func() *config.Config { return cfg }, Storage: access.Storage, Access: access}
}

func runReplicate(ctx context.Context, e *env, args []string, o replicateOptions) error {
	const command = "mahavishnu replicate"
	cfg, pairs, err := e.copies(command, args)
	if err != nil {
		return err
	}
	if o.direct && o.detach {
		return usagef(command, "give --direct or --detach, not both")
	}
	if o.anew && !o.direct {
		return usagef(command, "--new goes with --direct")
	}
	var failures []error
	for _, pair := range pairs {
		if o.direct {
			err = e.replicateHere(ctx, cfg, pair, o)
		} else {
			spec := &messages.ReplicateSpec{From: pair.Primary, To: pair.Secondary, Force: o.force}
			err = e.runJob(ctx, spec, cfg.Backup.Replication.Runner(pair), "copying", o.detach, func(entry bus.Entry) { e.tellCopyJob(pair, entry) })
		}
		if ctx.Err() != nil {
			return err
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// replicateHere copies in this process.
func (e *env) replicateHere(ctx context.Context, cfg *config.Config, pair config.RegionPair, o replicateOptions) (err error) {
	replicas := e.replicas(cfg)
	replicas.Anew = o.anew
	opened, err := replicas.Replica(ctx, pair.Primary, pair.Secondary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	if opened.Hold != nil {
		release, err := opened.Hold(ctx)
		if err != nil {
			e.term.Warnf("prune does not know that packs are being copied, and may remove some meanwhile: %v", err)
		} else {
			defer func() { _ = release(context.WithoutCancel(ctx)) }() // it runs out by itself
		}
	}
	result, err := e.copyOnce(ctx, replication.Options{
		From: opened.From, To: opened.To, DeleteAfter: opened.DeleteAfter, ReadBack: opened.ReadBack, Force: o.force,
		Retention: opened.Retention, Cold: opened.Cold, Know: opened.Know,
	})
	if ctx.Err() != nil {
		e.term.Warnf("interrupted; %s arrived until now. The same command again goes on from there", terminal.Plural(result.Copied, "object"))
		return err
	}
	if err != nil && result.Rounds == 0 {
		return err // nothing was looked at
	}
	e.term.Event("replicate", struct {
		Copy string `json:"copy"`
		replication.Result
	}{pair.String(), result})
	e.tellCopied(pair, result)
	return err
}

// copyOnce runs replication and shows how it goes.
func (e *env) copyOnce(ctx context.Context, o replication.Options) (replication.Result, error) {
	progress := e.term.Progress("copying")
	defer progress.Stop()
	o.Clock, o.By = e.clock, "mahavishnu replicate"
	o.Progress = func(s replication.Step) {
		progress.Update(func(w *terminal.Work) {
			w.Files, w.TotalFiles, w.Unit = w.Files+s.Objects, w.TotalFiles+s.ExpectObjects, "object"
			w.Bytes, w.TotalBytes, w.Path = w.Bytes+s.Bytes, w.TotalBytes+s.ExpectBytes, s.Object
		})
	}
	return replication.Run(ctx, o)
}

// tellCopyJob tells what a worker copied.
func (e *env) tellCopyJob(pair config.RegionPair, entry bus.Entry) {
	var r replication.Result
	if json.Unmarshal(entry.Result, &r) == nil {
		e.tellCopied(pair, r)
	}
}

// tellCopied prints what a run did.
func (e *env) tellCopied(pair config.RegionPair, r replication.Result) {
	for _, p := range r.Damaged {
		e.term.Printf("%s %s in the primary, and not copied: %s", e.term.Mark(terminal.Bad, "DAMAGED"), p.Object, p.Error)
	}
	for _, object := range r.Lost {
		e.term.Printf("%s %s is gone from the primary though nobody deleted it; the copy keeps it: mahavishnu verify --repair", e.term.Mark(terminal.Doubt, "LOST"), object)
	}
	state := "complete"
	if !r.Finished {
		state = "not complete yet"
	}
	e.term.Printf("%s: %s; %s copied, %s; %s shown", pair, state, terminal.Plural(r.Copied, "object"), terminal.Bytes(r.CopiedBytes),
		terminal.Plural(r.Snapshots, "new snapshot"))
	if r.Deleted > 0 || r.Pending > 0 {
		e.term.Sayf("  deleted %s, %s; %s gone from the primary, kept for a while", terminal.Plural(r.Deleted, "object"), terminal.Bytes(r.DeletedBytes), terminal.Plural(r.Pending, "object"))
	}
	if r.Kept != "" {
		e.term.Sayf("  nothing is deleted: %s", r.Kept)
	}
	if r.Unretained != "" {
		e.term.Warnf("%s: the copy is not kept from being deleted: %s", pair, r.Unretained)
	}
	if r.Extended > 0 {
		e.term.Sayf("  %s kept from being deleted until %s", terminal.Plural(r.Extended, "object"), terminal.Moment(r.RetainedUntil.Local()))
	}
	if r.Stuck > 0 {
		e.term.Warnf("%s: %s of the copy should be replaced, and its storage keeps them as they are until their retention ends", pair, terminal.Plural(r.Stuck, "object"))
	}
	if r.ReadBack > 0 {
		e.term.Sayf("  %s read back and checked", terminal.Plural(r.ReadBack, "object"))
	}
	if r.Mended > 0 {
		e.term.Printf("  %s that the copy had lost or damaged copied again", terminal.Plural(r.Mended, "object"))
	}
}

// waited says for how long what is not copied has waited.
func waited(lag replication.Lag, now time.Time) string {
	if lag.Snapshots == 0 {
		return ""
	}
	return terminal.Duration(lag.Age(now).Truncate(time.Second))
}

// noCopies says that a pair's ends cannot be seen.
func noCopies(pair config.RegionPair, err error) error {
	return fault.New("look at copy", pair.String(), err, fmt.Sprintf("mahavishnu doctor; to restore from the copy all the same: mahavishnu restore latest --replica %s --target DIR", pair))
}
