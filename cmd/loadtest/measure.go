package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"mahavishnu/loadtest"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/terminal"
)

// measureOptions are the flags of `loadtest backup` and `loadtest restore`.
type measureOptions struct {
	program, dir, kind, size string
	files                    int
	seed                     uint64
	keep, restore            bool
}

func newMeasureCommand(restore bool, term func() *terminal.Terminal) *cobra.Command {
	o := measureOptions{restore: restore}
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Measure a first backup, one of nothing changed, and a verify of all data",
		Example: `  loadtest backup --size 10GB                           large files of mixed content
  loadtest backup --corpus small --files 1000000 --size 1GB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runMeasure(cmd.Context(), term(), o) },
	}
	if restore {
		cmd.Use = "restore"
		cmd.Short = "Measure a restore too, and compare every byte"
		cmd.Example = "  loadtest restore --size 10GB"
	}
	flags := cmd.Flags()
	flags.StringVar(&o.size, "size", "1GB", "bytes in the tree")
	flags.StringVar(&o.kind, "corpus", string(corpus.Mixed), fmt.Sprintf("kind of tree: %v", corpus.Kinds()))
	flags.IntVar(&o.files, "files", 0, "number of files; 0 makes files of 50 MB, or of 10 kB in a small corpus")
	flags.Uint64Var(&o.seed, "seed", 1, "selects one of many trees of the same shape")
	flags.StringVar(&o.dir, "dir", "", "directory to work in, new or empty (default: a temporary one)")
	flags.BoolVar(&o.keep, "keep", false, "keep the directory")
	flags.StringVar(&o.program, "program", "", "the mahavishnu binary (default: the one beside this program)")
	return cmd
}

func (o measureOptions) spec() (corpus.Spec, error) {
	size, err := humanize.ParseBytes(o.size)
	if err != nil || size == 0 {
		return corpus.Spec{}, fmt.Errorf("--size %q is not a size like 10GB", o.size)
	}
	spec := corpus.Spec{Kind: corpus.Kind(o.kind), Files: o.files, Seed: o.seed}
	if spec.Files == 0 {
		each := uint64(50_000_000)
		if spec.Kind == corpus.Small {
			each = 10_000
		}
		spec.Files = int(max(size/each, 1))
	}
	spec.FileSize = max(int64(size)/int64(spec.Files), 1)
	return spec, nil
}

func runMeasure(ctx context.Context, term *terminal.Terminal, o measureOptions) error {
	spec, err := o.spec()
	if err != nil {
		return err
	}
	program := o.program
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		program = filepath.Join(filepath.Dir(self), "mahavishnu")
		if runtime.GOOS == "windows" {
			program += ".exe"
		}
	}
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "mahavishnu-loadtest-"); err != nil {
			return err
		}
	}
	report, err := loadtest.Run(ctx, loadtest.Options{
		Program: program, Dir: dir, Keep: o.keep, Tree: spec, Restore: o.restore,
		Progress: func(step string) { term.Sayf("%s ...", step) },
	})
	if err != nil {
		return err
	}
	term.Document(report)
	printReport(term, report)
	return errors.Join(term.Err())
}

func printReport(term *terminal.Terminal, r loadtest.Report) {
	table := terminal.NewTable("step", "wall>", "processor>", "peak memory>", "rate>", "stored>")
	for _, s := range r.Steps {
		table.Row(s.Name, terminal.Duration(s.Wall), terminal.Duration(s.CPU()), terminal.Bytes(s.PeakMemory),
			terminal.Rate(s.Bytes, s.Wall), terminal.Bytes(s.Stored))
	}
	term.Printf("\n%s files, %s, corpus %s\n%s", terminal.Count(r.Tree.Files), terminal.Bytes(r.Bytes), r.Tree.Kind, table)
}
