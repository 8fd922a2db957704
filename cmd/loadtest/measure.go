package main

import (
	"context"

	"github.com/spf13/cobra"

	"mahavishnu/loadtest"
	"mahavishnu/loadtest/process"
	"mahavishnu/terminal"
)

// measureOptions are the flags of `loadtest backup` and `loadtest restore`.
type measureOptions struct {
	tree
	json    string
	restore bool
}

func newMeasureCommand(e *env, restore bool) *cobra.Command {
	o := measureOptions{restore: restore}
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Measure a first backup, one of nothing changed, and a verify of all data",
		Example: `  loadtest backup --size 10GB                           large files of mixed content
  loadtest backup --corpus small --files 1000000 --size 1GB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runMeasure(cmd.Context(), e, o) },
	}
	if restore {
		cmd.Use = "restore"
		cmd.Short = "Measure a restore too, and compare every byte"
		cmd.Example = "  loadtest restore --size 10GB"
	}
	o.add(cmd, "1GB")
	addJSON(cmd, &o.json)
	return cmd
}

func runMeasure(ctx context.Context, e *env, o measureOptions) error {
	spec, err := o.spec()
	if err != nil {
		return err
	}
	program, self, err := o.binaries()
	if err != nil {
		return err
	}
	dir, err := o.directory()
	if err != nil {
		return err
	}
	report, err := loadtest.Run(ctx, loadtest.Options{
		Program: program, Dir: dir, Keep: o.keep, Tree: spec, Restore: o.restore,
		Progress: func(step string) { e.say("%s ...", step) }, Runner: process.Runner{Self: self},
	})
	if err != nil {
		return err
	}
	if err := e.writeJSON(o.json, report); err != nil || o.json == "-" {
		return err
	}
	printReport(e.term, report)
	return e.term.Err()
}

func printReport(term *terminal.Terminal, r loadtest.Report) {
	table := terminal.NewTable("step", "wall>", "processor>", "peak memory>", "rate>", "stored>")
	for _, s := range r.Steps {
		table.Row(s.Name, terminal.Duration(s.Wall), terminal.Duration(s.CPU()), terminal.Bytes(s.PeakMemory),
			terminal.Rate(s.Bytes, s.Wall), terminal.Bytes(s.Stored))
	}
	term.Printf("\n%s files, %s, corpus %s\n%s", terminal.Count(r.Tree.Files), terminal.Bytes(r.Bytes), r.Tree.Kind, table)
}
