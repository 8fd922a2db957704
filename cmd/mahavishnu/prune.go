package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/snapshot/garbage"
	"mahavishnu/terminal"
)

type pruneOptions struct {
	dryRun bool
}

func newPruneCommand(e *env) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune --dry-run",
		Short: "Tell how much is stored that no snapshot needs",
		Long: `Walk all snapshots and tell how much is stored that none of them needs: data of
snapshots that were forgotten, and of backups that did not finish.

Removing it is not available yet: nothing is deleted from the storage. An
unfinished backup's data is reused by the next backup of the same files.`,
		Example: "  mahavishnu prune --dry-run\n  mahavishnu prune --dry-run --json",
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runPrune(cmd.Context(), e, o) },
	}
	cmd.Flags().BoolVarP(&o.dryRun, "dry-run", "n", false, "measure only, which is all it can do yet")
	return exits(cmd, exitIntegrity)
}

func runPrune(ctx context.Context, e *env, o pruneOptions) (err error) {
	if !o.dryRun {
		return &usageError{"mahavishnu prune", fault.New("prune", "", errors.New("removing data is not available yet; nothing was removed"),
			"see how much could go: mahavishnu prune --dry-run")}
	}
	repo, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	report, err := garbage.Measure(ctx, repo.Repository)
	if err != nil {
		return err
	}
	e.term.Document(struct {
		garbage.Report
		Unread []string `json:"unread"`
	}{report, nonNil(texts(report.Unread))})
	var f terminal.Fields
	f.Add("stored", fmt.Sprintf("%s in %s", terminal.Bytes(report.PackBytes), terminal.Plural(report.Packs, "pack")))
	f.Add("not needed by any of "+terminal.Plural(report.Snapshots, "snapshot"), fmt.Sprintf("%s, %s of what is stored",
		terminal.Bytes(report.UnusedBytes), terminal.Percent(float64(report.UnusedBytes), float64(report.PackBytes))))
	f.Add("whole packs of it", fmt.Sprintf("%s in %s", terminal.Bytes(report.UnusedPackBytes), terminal.Plural(report.UnusedPacks, "pack")))
	f.Add("of unfinished backups", fmt.Sprintf("%s in %s, reused by the next backup", terminal.Bytes(report.UnindexedBytes), terminal.Plural(report.UnindexedPacks, "pack")))
	e.term.Printf("%s", f.String())
	e.term.Sayf("nothing was removed: removing data is not available yet")
	if len(report.Unread) == 0 {
		return nil
	}
	if e.term.JSON {
		return reported{errIntegrity}
	}
	return fault.New("measure", repo.Backend().Location(), errors.Join(append([]error{errIntegrity}, report.Unread...)...),
		"what these refer to was counted as not needed, and is needed; run: mahavishnu verify")
}
