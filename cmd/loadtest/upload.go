package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/loadtest/process"
	"mahavishnu/loadtest/upload"
	"mahavishnu/terminal"
)

// uploadOptions are the flags of `loadtest upload`.
type uploadOptions struct {
	measured tree
	stores   []string
	runs     int
	json     string
}

func newUploadCommand(e *env) *cobra.Command {
	var o uploadOptions
	cmd := &cobra.Command{
		Use:   "upload",
		Short: "Back up into object stores, and compare with rclone copy",
		Long: `Backs a tree up into S3, Azure Blob Storage and Google Cloud Storage, and has
rclone copy the same tree there. Each measurement starts a server of its own on this
machine (versitygw, azurite, fake-gcs-server: "make tools" puts them in place) and
counts the requests in the server's log.

By default the tree does not compress, so that both programs have as many bytes to
send. rclone is left out when it is not on PATH.`,
		Example: `  loadtest upload --size 10GB --runs 3 --json upload.json
  loadtest upload --store s3 --corpus mixed`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runUpload(cmd.Context(), e, o) },
	}
	o.measured.add(cmd, "1GB")
	flags := cmd.Flags()
	o.measured.kind = string(corpus.Incompressible)
	flags.Lookup("corpus").DefValue = o.measured.kind
	flags.StringSliceVar(&o.stores, "store", upload.Stores(), "`KINDS` of object stores")
	flags.IntVar(&o.runs, "runs", 1, "how often to do everything")
	addJSON(cmd, &o.json)
	return cmd
}

func runUpload(ctx context.Context, e *env, o uploadOptions) error {
	spec, err := o.measured.spec()
	if err != nil {
		return err
	}
	program, self, err := o.measured.binaries()
	if err != nil {
		return err
	}
	dir, err := o.measured.directory()
	if err != nil {
		return err
	}
	rclone, err := exec.LookPath("rclone")
	if err != nil {
		e.say("rclone is not on PATH: there is nothing to compare with")
		rclone = ""
	}
	here := filepath.Dir(self)
	report, err := upload.Run(ctx, upload.Options{
		Stores: o.stores, Tree: spec, Runs: o.runs, Program: program, Rclone: rclone,
		Tools: []string{here, filepath.Join(filepath.Dir(here), "tools", "azurite", "node_modules", ".bin")},
		Dir:   dir, Keep: o.measured.keep, Runner: process.Runner{Self: self},
		Progress: func(what string) { e.say("%s ...", what) },
	})
	if err != nil && len(report.Measured) == 0 {
		return err
	}
	if jerr := e.writeJSON(o.json, report); jerr != nil {
		return jerr
	}
	if o.json != "-" {
		printUploads(e.term, report)
	}
	if err != nil {
		return err
	}
	return e.term.Err()
}

func printUploads(term *terminal.Terminal, r upload.Report) {
	table := terminal.NewTable("store", "program", "wall>", "rate>", "processor>", "peak memory>", "requests>", "per GB>", "stored>")
	for _, m := range r.Measured {
		table.Row(m.Store, m.Program, terminal.Duration(m.Wall), terminal.Rate(r.Bytes, m.Wall), terminal.Duration(m.CPU()),
			terminal.Bytes(m.PeakMemory), terminal.Count(m.Total()), strconv.FormatFloat(r.PerGB(m), 'f', 0, 64), terminal.Bytes(m.Stored))
	}
	term.Printf("\n%s files, %s, corpus %s\n%s", terminal.Count(r.Tree.Files), terminal.Bytes(r.Bytes), r.Tree.Kind, table)
}
