package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/repository"
	"mahavishnu/retention"
	"mahavishnu/terminal"
)

type forgetOptions struct {
	source string
	dryRun bool
}

func newForgetCommand(e *env) *cobra.Command {
	var o forgetOptions
	cmd := &cobra.Command{
		Use:   "forget [SNAPSHOT]...",
		Short: "Let go of the snapshots that the retention policy does not keep",
		Long: `Remove the snapshots that no rule of the configuration's retention keeps. With
SNAPSHOTs, only those, and only where the policy lets them go. --dry-run removes
nothing and gives the reason for every snapshot.

The newest good snapshot of a source is never removed, whatever the rules say. The
data stays in the storage until it is pruned.`,
		Example: `  mahavishnu forget --dry-run
  mahavishnu forget --source home
  mahavishnu forget 4f2a91bc --dry-run`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runForget(cmd.Context(), e, args, o) },
	}
	cmd.Flags().StringVar(&o.source, "source", "", "only snapshots of this `SOURCE`")
	cmd.Flags().BoolVarP(&o.dryRun, "dry-run", "n", false, "remove nothing; tell what would go and what stays, each with the reason")
	return exits(cmd, exitIntegrity)
}

// fate is one line of the report of forget.
type fate struct {
	Snapshot string    `json:"snapshot"`
	Source   string    `json:"source"`
	Type     string    `json:"type"`
	Time     time.Time `json:"time"`
	Keep     bool      `json:"keep"`
	Why      string    `json:"why"`
}

func runForget(ctx context.Context, e *env, refs []string, o forgetOptions) (err error) {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	all, damaged, err := repo.Snapshots(ctx, o.source)
	if err != nil {
		return err
	}
	asked, err := resolve(ctx, repo.Repository, refs)
	if err != nil {
		return err
	}
	fates, byID, err := decide(cfg.Backup, all, e.clock.Now())
	if err != nil {
		return err
	}
	if len(asked) > 0 {
		fates = slices.DeleteFunc(fates, func(f fate) bool { return !slices.Contains(asked, f.Snapshot) })
	}
	removed, err := e.forget(ctx, repo.Repository, fates, byID, o.dryRun)
	e.tellForget(fates, removed, o.dryRun)
	if err != nil {
		return err
	}
	if kept := keptOf(fates); len(asked) > 0 && kept != nil && !o.dryRun {
		return fault.New("forget snapshot", kept.Snapshot, errors.New("it is "+kept.Why), "mahavishnu forget --dry-run gives the reason for each")
	}
	return e.damagedSnapshots(damaged)
}

// resolve returns the ids that references name.
func resolve(ctx context.Context, repo *repository.Repository, refs []string) ([]string, error) {
	var ids []string
	for _, ref := range refs {
		s, err := repo.FindSnapshot(ctx, ref)
		if err != nil {
			return nil, err
		}
		ids = append(ids, s.ID)
	}
	return ids, nil
}

// decide asks the retention policy about every snapshot.
func decide(b config.Backup, all []repository.Snapshot, now time.Time) ([]fate, map[string]repository.Snapshot, error) {
	policy, err := retention.FromConfig(b)
	if err != nil {
		return nil, nil, err
	}
	byID := map[string]repository.Snapshot{}
	var list []retention.Snapshot
	for _, s := range all {
		byID[s.ID] = s
		list = append(list, retention.Snapshot{ID: s.ID, Source: s.Source, Type: s.Type, Time: s.Time})
	}
	var fates []fate
	for _, d := range policy.Decide(list, now) {
		fates = append(fates, fate{d.Snapshot.ID, d.Snapshot.Source, d.Snapshot.Type, d.Snapshot.Time, d.Keep, d.Why})
	}
	return fates, byID, nil
}

// keptOf returns the first snapshot that stays, if one does.
func keptOf(fates []fate) *fate {
	for i := range fates {
		if fates[i].Keep {
			return &fates[i]
		}
	}
	return nil
}

// forget removes what no rule keeps, and returns how many it removed.
func (e *env) forget(ctx context.Context, repo *repository.Repository, fates []fate, byID map[string]repository.Snapshot, dryRun bool) (int, error) {
	removed := 0
	for _, f := range fates {
		if f.Keep || dryRun {
			continue
		}
		if err := ctx.Err(); err != nil {
			e.term.Warnf("interrupted; %s removed, the others are still there", terminal.Plural(removed, "snapshot"))
			return removed, context.Cause(ctx)
		}
		if err := repo.DeleteSnapshot(ctx, byID[f.Snapshot]); err != nil {
			return removed, fault.New("forget snapshot", f.Snapshot, err, "the same command again goes on with the rest")
		}
		removed++
	}
	return removed, nil
}

func (e *env) tellForget(fates []fate, removed int, dryRun bool) {
	e.term.Document(struct {
		DryRun    bool   `json:"dry_run"`
		Removed   int    `json:"removed"`
		Snapshots []fate `json:"snapshots"`
	}{dryRun, removed, nonNil(fates)})
	if e.term.JSON {
		return
	}
	table := terminal.NewTable("", "snapshot", "time", "source", "type", "why")
	goes, stays := 0, 0
	for _, f := range fates {
		word := "keep"
		if f.Keep {
			stays++
		} else {
			word = "forget"
			goes++
		}
		if dryRun || !f.Keep || e.term.Verbose {
			table.Row(word, f.Snapshot, terminal.Moment(f.Time.Local()), f.Source, f.Type, f.Why)
		}
	}
	if table.Len() > 0 {
		e.term.Printf("%s", strings.TrimRight(table.String(), "\n"))
	}
	if dryRun {
		e.term.Printf("%s would be forgotten, %s kept", terminal.Plural(goes, "snapshot"), terminal.Count(stays))
		return
	}
	e.term.Printf("%s forgotten, %s kept", terminal.Plural(removed, "snapshot"), terminal.Count(stays+goes-removed))
	if removed > 0 {
		e.term.Sayf("their data stays in the storage; see how much could go: mahavishnu prune --dry-run")
	}
}
