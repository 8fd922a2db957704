package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/retention"
	"mahavishnu/retention/forget"
	"mahavishnu/terminal"
)

type forgetOptions struct {
	source  string
	dryRun  bool
	damaged bool
}

func newForgetCommand(e *env) *cobra.Command {
	var o forgetOptions
	cmd := &cobra.Command{
		Use:   "forget [SNAPSHOT]...",
		Short: "Let go of the snapshots that the retention policy does not keep",
		Long: `Remove the snapshots that no rule of the configuration's retention keeps. With
SNAPSHOTs, only those, and only where the policy lets them go. --dry-run removes
nothing and gives the reason for every snapshot.

The newest good snapshot of a source is never removed, whatever the rules say; it
is looked at before anything of the source goes. Pinned snapshots stay
("snapshots pin"), and so do all of a source that is held ("hold"). The data
stays in the storage until it is pruned.

A snapshot that is damaged beyond repair stands in the way of prune. With --damaged
it goes if it is named, and found to be damaged.`,
		Example: `  mahavishnu forget --dry-run
  mahavishnu forget --source home
  mahavishnu forget 4f2a91bc --dry-run
  mahavishnu forget --damaged 4f2a91bc`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runForget(cmd.Context(), e, args, o) },
	}
	cmd.Flags().StringVar(&o.source, "source", "", "only snapshots of this `SOURCE`")
	cmd.Flags().BoolVarP(&o.dryRun, "dry-run", "n", false, "remove nothing; tell what would go and what stays, each with the reason")
	cmd.Flags().BoolVar(&o.damaged, "damaged", false, "let the named snapshots go if they are damaged, whatever the policy says")
	return exits(cmd, exitIntegrity)
}

func runForget(ctx context.Context, e *env, refs []string, o forgetOptions) (err error) {
	if o.damaged && len(refs) == 0 {
		return usagef("mahavishnu forget", "--damaged needs the snapshots to be named; see which are damaged with `mahavishnu verify`")
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	policy, err := retention.FromConfig(cfg.Backup)
	if err != nil {
		return err
	}
	repo, err := e.openTo(ctx, !o.dryRun)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	asked, err := resolve(ctx, repo.Repository, refs)
	if err != nil {
		return err
	}
	report, err := forget.Run(ctx, repo.Repository, forget.Options{
		Policy: policy, Now: e.clock.Now(), Source: o.source, Only: asked, Damaged: o.damaged, DryRun: o.dryRun,
	})
	e.tellForget(report, asked, o.dryRun)
	switch {
	case ctx.Err() != nil:
		e.term.Warnf("interrupted; %s removed, the others are still there", terminal.Plural(report.Removed, "snapshot"))
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	damaged := stillDamaged(report)
	if kept := keptOf(report, asked); kept != nil && !o.dryRun {
		cause, hint := errors.New("it is "+kept.Why), "mahavishnu forget --dry-run gives the reason for each"
		if isLost(damaged, kept.Snapshot) {
			cause = fmt.Errorf("%w: it is %s", errIntegrity, kept.Why)
			hint = "mend it with `mahavishnu verify --repair`; if that cannot be: mahavishnu forget --damaged " + kept.Snapshot
		}
		return fault.New("forget snapshot", kept.Snapshot, cause, hint)
	}
	return e.damagedSnapshots(damaged)
}

// resolve returns the ids that references name, nil for none. A whole id is
// taken as it is: its snapshot may be damaged beyond reading.
func resolve(ctx context.Context, repo *repository.Repository, refs []string) ([]string, error) {
	var ids []string
	for _, ref := range refs {
		s, err := repo.FindSnapshot(ctx, ref)
		lost := (*repository.SnapshotError)(nil)
		switch {
		case err == nil:
			ids = append(ids, s.ID)
		case errors.As(err, &lost):
			ids = append(ids, lost.ID)
		default:
			return nil, err
		}
	}
	return ids, nil
}

// keptOf returns the first of the named snapshots that stays, if one does.
func keptOf(report forget.Report, asked []string) *forget.Decision {
	for i, d := range report.Decisions {
		if d.Keep && slices.Contains(asked, d.Snapshot) {
			return &report.Decisions[i]
		}
	}
	return nil
}

// isLost reports whether a snapshot is among those that cannot be read.
func isLost(damaged []error, id string) bool {
	return slices.ContainsFunc(damaged, func(err error) bool {
		lost := (*repository.SnapshotError)(nil)
		return errors.As(err, &lost) && lost.ID == id
	})
}

// stillDamaged leaves out what was forgotten because of its damage.
func stillDamaged(report forget.Report) []error {
	return slices.DeleteFunc(slices.Clone(report.Damaged), func(err error) bool {
		lost := (*repository.SnapshotError)(nil)
		return errors.As(err, &lost) && slices.ContainsFunc(report.Decisions, func(d forget.Decision) bool {
			return d.Snapshot == lost.ID && !d.Keep
		})
	})
}

func (e *env) tellForget(report forget.Report, asked []string, dryRun bool) {
	decisions := report.Decisions
	if len(asked) > 0 {
		decisions = slices.DeleteFunc(slices.Clone(decisions), func(d forget.Decision) bool { return !slices.Contains(asked, d.Snapshot) })
	}
	e.term.Document(struct {
		DryRun    bool              `json:"dry_run"`
		Removed   int               `json:"removed"`
		Snapshots []forget.Decision `json:"snapshots"`
		Held      []repository.Hold `json:"held"`
		Damaged   []string          `json:"damaged"`
	}{dryRun, report.Removed, nonNil(decisions), nonNil(report.Held), nonNil(texts(report.Damaged))})
	if e.term.JSON {
		return
	}
	table := terminal.NewTable("", "snapshot", "time", "source", "type", "why")
	goes := 0
	for _, d := range decisions {
		word := "keep"
		if !d.Keep {
			word = "forget"
			goes++
		}
		if dryRun || !d.Keep || e.term.Verbose {
			table.Row(word, d.Snapshot, terminal.Moment(d.Time.Local()), d.Source, d.Type, d.Why)
		}
	}
	if table.Len() > 0 {
		e.term.Printf("%s", strings.TrimRight(table.String(), "\n"))
	}
	for _, h := range report.Held {
		e.term.Warnf("nothing of %s is forgotten: it is held by %s (%s); end that with: mahavishnu hold release %s",
			terminal.Name(h.Source), h.Name, h.String(), releaseArguments(h))
	}
	if dryRun {
		e.term.Printf("%s would be forgotten, %s kept", terminal.Plural(goes, "snapshot"), terminal.Count(len(decisions)-goes))
		return
	}
	e.term.Printf("%s forgotten, %s kept", terminal.Plural(report.Removed, "snapshot"), terminal.Count(len(decisions)-report.Removed))
	if report.Removed > 0 {
		e.term.Sayf("their data stays in the storage until it is pruned; see how much could go: mahavishnu prune --dry-run")
	}
}
