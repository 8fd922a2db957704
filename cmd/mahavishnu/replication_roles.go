package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/replication"
	"mahavishnu/repository"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

type promotionOptions struct {
	reason string
	force  bool
	lost   bool
	yes    bool
	copy   bool
}

func newPromoteCommand(e *env) *cobra.Command {
	var o promotionOptions
	cmd := &cobra.Command{
		Use:   "promote COPY",
		Short: "Make a copy the primary, because its primary is lost",
		Long: `Make a copy the primary: from now on it may be backed up to, and nothing is copied
into it any more. The old primary becomes a copy. One that cannot be reached now is
told when it comes back: it refuses backups, and its copying stops, as soon as it sees
the promoted one. When another repository lies in its place, that one is left as it is.

Snapshots that had not arrived are not in the promoted one. Where the old primary still
answers they are named, and nothing is changed before --yes says that it is meant.
Restoring needs no promotion: mahavishnu restore latest --replica COPY --target DIR.

To make the old primary the primary again: mahavishnu replication failback COPY.`,
		Example: `  mahavishnu replication promote us-east-1@eu-west-1 --reason outage
  mahavishnu replication promote us-east-1@eu-west-1 --yes
  mahavishnu replication promote eu-west-1 --primary-lost`,
		Args: takes(1, 1, "the copy (REGION or PRIMARY@REGION)"),
		RunE: func(cmd *cobra.Command, args []string) error { return runPromote(cmd.Context(), e, args[0], o) },
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for those who look later (`TEXT`)")
	cmd.Flags().BoolVar(&o.lost, "primary-lost", false, "do not look for the old primary: it is gone for good")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "although snapshots of the old primary have not arrived")
	cmd.Flags().BoolVar(&o.force, "force", false, "as --yes; and also while copying deletes there, or when the note of the copy's role is damaged")
	return exits(cmd)
}

func newDemoteCommand(e *env) *cobra.Command {
	var o promotionOptions
	cmd := &cobra.Command{
		Use:   "demote COPY",
		Short: "Make the primary of a copy a copy itself, so that nothing new is stored there",
		Long: `Stop all storing into the primary of a copy: the first step of a planned change. Then
bring the copy up to date with "mahavishnu replicate COPY", and promote it. Until then
no storage is the primary, and no backup runs. "mahavishnu replication failback COPY"
takes it back.

With --copy the copy itself is demoted: where two storages were promoted apart from each
other, and this one is not the right one.`,
		Example: "  mahavishnu replication demote us-east-1@eu-west-1 --reason maintenance\n  mahavishnu replication demote us-east-1@eu-west-1 --copy",
		Args:    takes(1, 1, "the copy (REGION or PRIMARY@REGION)"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runDemote(cmd.Context(), e, args[0], o) },
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for those who look later (`TEXT`)")
	cmd.Flags().BoolVar(&o.copy, "copy", false, "demote the copy, which was promoted, and not what it is a copy of")
	return exits(cmd)
}

func newFailbackCommand(e *env) *cobra.Command {
	var o promotionOptions
	cmd := &cobra.Command{
		Use:   "failback COPY",
		Short: "Make the old primary of a promoted copy the primary again",
		Long: `Bring back what a promoted copy was given meanwhile, and make the old primary the
primary again: copy everything while backups go on, stop them, copy the rest, promote.
The storage of the old primary may be new and empty. It may be interrupted at any
moment; the same command again goes on. Snapshots that only the old primary has are
named, and stay there.

After "mahavishnu replication demote", when nothing was promoted, it takes that back.`,
		Example: "  mahavishnu replication failback us-east-1@eu-west-1",
		Args:    takes(1, 1, "the copy (REGION or PRIMARY@REGION)"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runFailback(cmd.Context(), e, args[0], o) },
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for those who look later (`TEXT`)")
	return exits(cmd, exitIntegrity)
}

// withEnds runs fn with both ends of a copy.
func (e *env) withEnds(ctx context.Context, command, ref string, hasty bool, fn func(cfg *config.Config, pair config.RegionPair, primary, replica storage.Backend) error) (err error) {
	cfg, pairs, err := e.copies(command, []string{ref})
	if err != nil {
		return err
	}
	replicas := e.replicas(cfg)
	if hasty {
		replicas.Storage = replicas.Storage.Hasty(statusPatience)
	}
	primary, replica, err := replicas.Ends(ctx, pairs[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, primary.Close(), replica.Close()) }()
	return fn(cfg, pairs[0], primary, replica)
}

func runPromote(ctx context.Context, e *env, ref string, o promotionOptions) error {
	return e.withEnds(ctx, "mahavishnu replication promote", ref, true, func(cfg *config.Config, pair config.RegionPair, primary, replica storage.Backend) error {
		foreign, err := e.replicas(cfg).MayPromote(ctx, primary, replica, o.lost, o.yes || o.force)
		if err != nil {
			return err
		}
		if o.lost || foreign != nil {
			primary = nil
		}
		if err := e.mayLeave(ctx, pair, primary, replica, o.yes || o.force); err != nil {
			return err
		}
		now, demoted, err := replication.Promote(ctx, replication.PromoteOptions{
			Replica: replica, Primary: primary, Force: o.force, By: cfg.Node.Name, Reason: o.reason, Clock: e.clock,
		})
		if err != nil {
			return err
		}
		if foreign != nil {
			demoted = foreign
		}
		e.term.Document(struct {
			Copy string `json:"copy"`
			replication.Standing
			Untold string `json:"primary_not_told,omitempty"`
		}{pair.String(), now, textOf(demoted)})
		e.term.Printf("%s is the primary now, since epoch %d", replica.Location(), now.Epoch)
		if demoted != nil {
			e.term.Warnf("the old primary could not be told: %v\nit learns it when it comes back; until then see that nobody backs up to it", demoted)
		}
		place, _ := cfg.ReplicaPlace(pair.Primary, pair.Secondary)
		e.term.Sayf("to back up to it by yourself: mahavishnu backup SOURCE --direct --replica %[1]s\nto have workers do it, write under backup.replication.storages: %[2]s: {url: %[3]q}, and another place for replicas of %[4]s\n"+
			"to go back later: mahavishnu replication failback %[1]s", pair, pair.Primary, place, pair.Secondary)
		return nil
	})
}

// mayLeave names what has not arrived in a copy that is to be promoted, and fails unless
// that is meant. A primary that does not answer, which is what promotion is for, asks
// nobody.
func (e *env) mayLeave(ctx context.Context, pair config.RegionPair, primary, replica storage.Backend, meant bool) error {
	if primary == nil {
		return nil
	}
	if role, err := replication.RoleOf(ctx, replica); err == nil && role.Role == replication.Primary && role.Noted {
		return nil // it is promoted already
	}
	looking, cancel := context.WithTimeout(ctx, statusPatience)
	names, err := replication.Only(looking, primary, replica)
	cancel()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		e.term.Warnf("what had not arrived when the primary was lost cannot be seen: %v", err)
		return nil
	case len(names) == 0:
		return nil
	}
	what := left(names)
	if lag, err := replication.Measure(ctx, primary, replica); err == nil {
		what += fmt.Sprintf(", with %s that are not copied", terminal.Bytes(lag.Bytes))
	}
	if meant {
		e.term.Warnf("%s: %s; they stay in the old primary", pair, what)
		return nil
	}
	return fault.New("promote", pair.String(), fmt.Errorf("%w: %s", errNotArrived, what),
		fmt.Sprintf("bring them over first: mahavishnu replicate %[1]s (before that, `mahavishnu replication demote %[1]s` ends new ones); to go on without them, repeat with --yes", pair))
}

// errNotArrived means that a copy lacks snapshots of its primary.
var errNotArrived = errors.New("snapshots of the primary have not arrived")

// left names snapshots, the newest first, as far as a person reads on.
func left(names []string) string {
	const few = 5
	text := terminal.Plural(len(names), "snapshot")
	if t, ok := repository.SnapshotTime(names[0]); ok {
		text += ", the newest of " + terminal.Moment(t.Local())
	}
	for i, name := range names[:min(few, len(names))] {
		text += []string{": ", ", "}[min(i, 1)] + strings.TrimPrefix(name, "snapshots/")
	}
	if more := len(names) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func runDemote(ctx context.Context, e *env, ref string, o promotionOptions) error {
	return e.withEnds(ctx, "mahavishnu replication demote", ref, true, func(cfg *config.Config, pair config.RegionPair, primary, replica storage.Backend) error {
		target, other := primary, replica
		if o.copy {
			target, other = replica, primary
		}
		if err := e.replicas(cfg).MayDemote(ctx, target, other); err != nil {
			return err
		}
		now, err := replication.Demote(ctx, replication.DemoteOptions{Primary: target, By: cfg.Node.Name, Reason: o.reason, Clock: e.clock})
		if err != nil {
			return err
		}
		e.term.Document(struct {
			Copy string `json:"copy"`
			replication.Standing
		}{pair.String(), now})
		e.term.Printf("%s takes nothing new any more", target.Location())
		if o.copy {
			e.term.Sayf("which storage is the primary: mahavishnu replication status")
			return nil
		}
		e.term.Printf("next: mahavishnu replicate %[1]s, then: mahavishnu replication promote %[1]s\nto take it back: mahavishnu replication failback %[1]s", pair)
		return nil
	})
}
