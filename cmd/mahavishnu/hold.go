package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/terminal"
)

// holdByHand is the name of holds that people set. Alarms use names of their
// own, so that neither ends the other's.
const holdByHand = "manual"

func newHoldCommand(e *env) *cobra.Command {
	return parent("hold", "Keep everything of a source until further notice",
		`While a source is held, none of its snapshots is forgotten and nothing at all is
pruned from the repository: for the time in which it is not clear whether what was
backed up lately is any good. Alarms may set holds; people end them.

The hold lies in the repository: it holds for everybody who forgets, on any
machine, with a queue or without. To keep a single snapshot, pin it: "snapshots pin".`,
		`  mahavishnu hold set home --reason ransomware
  mahavishnu hold list
  mahavishnu hold release home`,
		newHoldSetCommand(e), newHoldListCommand(e), newHoldReleaseCommand(e))
}

func newHoldSetCommand(e *env) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "set SOURCE",
		Short:   "Hold a source",
		Example: "  mahavishnu hold set home --reason ransomware",
		Args:    takes(1, 1, "the source"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runHoldSet(cmd.Context(), e, args[0], reason) },
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a `SENTENCE` that is shown to whoever wonders")
	return exits(cmd)
}

func runHoldSet(ctx context.Context, e *env, source, reason string) error {
	return e.withHolds(ctx, func(repo *repository.Repository, holds []repository.Hold) error {
		if err := e.knownSource(ctx, repo, source); err != nil {
			return err
		}
		hold := repository.Hold{Source: source, Name: holdByHand, Keep: repository.Keep{Reason: reason, By: whoami(), Time: e.clock.Now()}}
		for _, h := range holds {
			if h.Source == source && h.Name == holdByHand {
				e.term.Document(h)
				e.term.Printf("%s is held already: %s", terminal.Name(source), terminal.Name(h.String()))
				return nil
			}
		}
		if err := repo.Hold(ctx, hold); err != nil && !errors.Is(err, repository.ErrKept) {
			return err
		}
		e.term.Document(hold)
		e.term.Printf("held %s: none of its snapshots is forgotten until: mahavishnu hold release %s", terminal.Name(source), terminal.Name(source))
		return nil
	})
}

func newHoldListCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:     "list",
		Short:   "List what is held, by whom and why",
		Example: "  mahavishnu hold list --json",
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runHoldList(cmd.Context(), e) },
	})
}

func runHoldList(ctx context.Context, e *env) error {
	return e.withHolds(ctx, func(_ *repository.Repository, holds []repository.Hold) error {
		e.term.Document(struct {
			Holds []repository.Hold `json:"holds"`
		}{nonNil(holds)})
		if len(holds) == 0 {
			e.term.Printf("nothing is held")
			return nil
		}
		table := terminal.NewTable("source", "hold", "since", "by", "why")
		for _, h := range holds {
			since := ""
			if !h.Time.IsZero() {
				since = terminal.Moment(h.Time.Local())
			}
			table.Row(h.Source, h.Name, since, h.By, h.Reason)
		}
		e.term.Printf("%s", table)
		return nil
	})
}

func newHoldReleaseCommand(e *env) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "release SOURCE",
		Short: "End a hold",
		Long: `End the hold that "hold set" set, or with --name one that an alarm set. The source's
snapshots are left to the retention policy again when none is left.`,
		Example: "  mahavishnu hold release home\n  mahavishnu hold release home --name anomaly",
		Args:    takes(1, 1, "the source"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runHoldRelease(cmd.Context(), e, args[0], name) },
	}
	cmd.Flags().StringVar(&name, "name", holdByHand, "the hold's `NAME`, as \"hold list\" shows it")
	return exits(cmd)
}

func runHoldRelease(ctx context.Context, e *env, source, name string) error {
	return e.withHolds(ctx, func(repo *repository.Repository, holds []repository.Hold) error {
		i := slices.IndexFunc(holds, func(h repository.Hold) bool { return h.Source == source && h.Name == name })
		if i < 0 {
			return fault.New("release", source, errors.New("there is no hold of the name "+name+" on it"), "mahavishnu hold list")
		}
		if err := repo.Release(ctx, source, name); err != nil {
			return err
		}
		var left []string
		for j, h := range holds {
			if j != i && h.Source == source {
				left = append(left, h.Name)
			}
		}
		e.term.Document(struct {
			repository.Hold
			Left []string `json:"left"`
		}{holds[i], nonNil(left)})
		if len(left) > 0 {
			e.term.Printf("released %s, which is still held by %s", terminal.Name(source), strings.Join(left, ", "))
			return nil
		}
		e.term.Printf("released %s", terminal.Name(source))
		return nil
	})
}

// releaseArguments are what "hold release" needs to end a hold.
func releaseArguments(h repository.Hold) string {
	if h.Name == holdByHand {
		return terminal.Name(h.Source)
	}
	return terminal.Name(h.Source) + " --name " + h.Name
}

// withHolds opens the repository and reads its holds.
func (e *env) withHolds(ctx context.Context, fn func(*repository.Repository, []repository.Hold) error) (err error) {
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	holds, err := repo.Holds(ctx)
	if err != nil {
		return err
	}
	return fn(repo.Repository, holds)
}

// knownSource refuses a source that is neither configured nor backed up: most
// likely it is mistyped, and what should be held is not.
func (e *env) knownSource(ctx context.Context, repo *repository.Repository, source string) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if _, ok := cfg.Sources[source]; ok {
		return nil
	}
	snapshots, damaged, err := repo.Snapshots(ctx, "")
	if err != nil {
		return err
	}
	known := sortedKeys(cfg.Sources)
	for _, s := range snapshots {
		known = append(known, s.Source)
	}
	for _, err := range damaged {
		if lost := (*repository.SnapshotError)(nil); errors.As(err, &lost) {
			known = append(known, lost.Source)
		}
	}
	if slices.Contains(known, source) {
		return nil
	}
	slices.Sort(known)
	return usagef("mahavishnu hold", "there is no source %q; there are: %s", source, strings.Join(slices.Compact(known), ", "))
}
