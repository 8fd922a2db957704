package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/replication"
	"mahavishnu/storage"
	"mahavishnu/terminal"
)

type promotionOptions struct {
	reason string
	force  bool
	lost   bool
}

func newPromoteCommand(e *env) *cobra.Command {
	var o promotionOptions
	cmd := &cobra.Command{
		Use:   "promote COPY",
		Short: "Make a copy the primary, because its primary is lost",
		Long: `Make a copy the primary: from now on it may be backed up to, and nothing is copied
into it any more. The old primary becomes a copy. One that cannot be reached now is
told when it comes back: it refuses backups, and its copying stops, as soon as it sees
the promoted one.

Snapshots that had not arrived are not in the promoted one: see them before with
"mahavishnu replication status", if the old primary still answers. Restoring needs no
promotion: mahavishnu restore latest --replica COPY --target DIR.`,
		Example: `  mahavishnu replication promote us-east-1@eu-west-1 --reason outage
  mahavishnu replication promote eu-west-1 --primary-lost`,
		Args: takes(1, 1, "the copy (REGION or PRIMARY@REGION)"),
		RunE: func(cmd *cobra.Command, args []string) error { return runPromote(cmd.Context(), e, args[0], o) },
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for those who look later (`TEXT`)")
	cmd.Flags().BoolVar(&o.lost, "primary-lost", false, "do not look for the old primary: it is gone for good")
	cmd.Flags().BoolVar(&o.force, "force", false, "also while copying deletes there, or when the note of the copy's role is damaged")
	return exits(cmd)
}

func newDemoteCommand(e *env) *cobra.Command {
	var o promotionOptions
	cmd := &cobra.Command{
		Use:   "demote COPY",
		Short: "Make the primary of a copy a copy itself, so that nothing new is stored there",
		Long: `Stop all storing into the primary of a copy: the first step of a planned change. Then
bring the copy up to date with "mahavishnu replicate COPY", and promote it.`,
		Example: "  mahavishnu replication demote us-east-1@eu-west-1 --reason maintenance",
		Args:    takes(1, 1, "the copy (REGION or PRIMARY@REGION)"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runDemote(cmd.Context(), e, args[0], o) },
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for those who look later (`TEXT`)")
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
moment; the same command again goes on.`,
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
		if o.lost {
			primary = nil
		}
		now, demoted, err := replication.Promote(ctx, replication.PromoteOptions{
			Replica: replica, Primary: primary, Force: o.force, By: cfg.Node.Name, Reason: o.reason, Clock: e.clock,
		})
		if err != nil {
			return err
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

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func runDemote(ctx context.Context, e *env, ref string, o promotionOptions) error {
	return e.withEnds(ctx, "mahavishnu replication demote", ref, true, func(cfg *config.Config, pair config.RegionPair, primary, _ storage.Backend) error {
		now, err := replication.Demote(ctx, replication.DemoteOptions{Primary: primary, By: cfg.Node.Name, Reason: o.reason, Clock: e.clock})
		if err != nil {
			return err
		}
		e.term.Document(struct {
			Copy string `json:"copy"`
			replication.Standing
		}{pair.String(), now})
		e.term.Printf("%s takes nothing new any more\nnext: mahavishnu replicate %[2]s, then: mahavishnu replication promote %[2]s", primary.Location(), pair)
		return nil
	})
}

func runFailback(ctx context.Context, e *env, ref string, o promotionOptions) error {
	return e.withEnds(ctx, "mahavishnu replication failback", ref, false, func(cfg *config.Config, pair config.RegionPair, primary, replica storage.Backend) error {
		promoted, err := replication.RoleOf(ctx, replica)
		if err != nil {
			return err
		}
		old, err := replication.RoleOf(ctx, primary)
		if err != nil {
			return err
		}
		if promoted.Role == replication.Replica && old.Noted && old.Role == replication.Primary {
			e.term.Printf("%s is the primary already, and %s a copy of it", primary.Location(), replica.Location())
			return nil
		}
		back := func() error {
			result, err := e.copyOnce(ctx, replication.Options{From: replica, To: primary})
			e.term.Event("replicate", result)
			e.term.Sayf("%s, %s copied back", terminal.Plural(result.Copied, "object"), terminal.Bytes(result.CopiedBytes))
			return err
		}
		by := replication.DemoteOptions{Primary: replica, By: cfg.Node.Name, Reason: o.reason, Clock: e.clock}
		if err := back(); err != nil {
			return err
		}
		if _, err := replication.Demote(ctx, by); err != nil {
			return err
		}
		if err := back(); err != nil {
			return err
		}
		now, demoted, err := replication.Promote(ctx, replication.PromoteOptions{
			Replica: primary, Primary: replica, By: by.By, Reason: o.reason, Clock: e.clock,
		})
		if err = errors.Join(err, demoted); err != nil {
			return err
		}
		e.term.Event("promoted", now)
		e.term.Printf("%s is the primary again, since epoch %d; %s is a copy of it", primary.Location(), now.Epoch, replica.Location())
		e.term.Sayf("to back up to it, undo what was changed under backup.replication.storages.%s", pair.Primary)
		return nil
	})
}
