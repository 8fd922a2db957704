package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/fault"
	"mahavishnu/loadtest/compare"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/loadtest/peers"
	"mahavishnu/loadtest/process"
	"mahavishnu/loadtest/report"
)

// compareOptions are the flags of `loadtest compare`.
type compareOptions struct {
	measured tree
	peers    []string
	only     []string
	versions int
	runs     int
	resume   bool
	shown
}

// shown says where a comparison is shown.
type shown struct {
	json, html string
	markdown   bool
}

func (s *shown) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	addJSON(cmd, &s.json)
	flags.StringVar(&s.html, "html", "", "write a page with plots to this `FILE`")
	flags.BoolVar(&s.markdown, "markdown", false, "print a section of Markdown instead of tables")
}

func newCompareCommand(e *env) *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Have restic, borg and kopia do the same work, and compare",
		Long: `Each program backs the same tree up, backs it up again unchanged, reads all of its
data in a check, and restores it; what is restored is compared byte by byte. Beside
them, cp -a and a bare pipeline show what the machine can do. A corpus that
changes (versions, database) is backed up version by version, and what is stored
is compared.

Every step is a process of its own. Writing out to the disk counts; what is read
is in the page cache before. The order of the programs changes from run to run.`,
		Example: `  loadtest compare --size 10GB --runs 3 --json mixed.json --html mixed.html
  loadtest compare --corpus files --size 10GB --peers restic,borg
  loadtest compare --corpus versions --size 500MB --versions 20 --runs 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCompare(cmd.Context(), e, o) },
	}
	o.measured.add(cmd, "1GB")
	flags := cmd.Flags()
	flags.StringSliceVar(&o.peers, "peers", peers.Families(), "`PROGRAMS` to compare with, of those on PATH")
	flags.StringSliceVar(&o.only, "only", nil, "measure only the programs with these `NAMES`, as the tables have them")
	flags.IntVar(&o.versions, "versions", 0, "how many versions of a corpus that changes (default 20 of versions, 10 of database)")
	flags.IntVar(&o.runs, "runs", 3, "how often to do everything")
	flags.BoolVar(&o.resume, "resume", false, "go on with the comparison in the --json file, if there is one: measure only what it lacks")
	o.add(cmd)
	return cmd
}

func runCompare(ctx context.Context, e *env, o compareOptions) (err error) {
	spec, err := o.measured.spec()
	if err != nil {
		return err
	}
	program, self, err := o.measured.binaries()
	if err != nil {
		return err
	}
	if o.versions == 0 {
		o.versions = map[corpus.Kind]int{corpus.Versions: 20, corpus.Database: 10}[spec.Kind]
	}
	runner := process.Runner{Self: self}
	found, notes, err := peers.Find(ctx, runner, peers.Options{Families: o.peers, Program: program, Self: self, Only: o.only})
	if err != nil {
		return err
	}
	before, err := o.before()
	if err != nil {
		return err
	}
	dir, err := o.measured.directory()
	if err != nil {
		return err
	}
	c, err := compare.Run(ctx, compare.Options{
		Corpus: spec, Versions: o.versions, Runs: o.runs, Programs: found, Notes: notes,
		Dir: dir, Keep: o.measured.keep, Runner: runner,
		Progress: func(what string) { e.say("%s", what) },
		Before:   before, Save: o.save(e),
	})
	if len(c.Measured) == 0 {
		return err
	}
	if err != nil {
		c.Notes = append(c.Notes, "this comparison did not come to its end: "+err.Error())
	}
	return errors.Join(err, o.show(e, c))
}

// before returns the comparison to go on with; none when there is none yet.
func (o compareOptions) before() (compare.Comparison, error) {
	if !o.resume {
		return compare.Comparison{}, nil
	}
	if o.json == "" || o.json == "-" {
		return compare.Comparison{}, fault.New("resume", "comparison", errors.New("no file is named"), "name the file with --json FILE")
	}
	before, err := compare.Load(o.json)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return before, err
}

// save returns what writes a comparison that is not at its end yet.
func (o compareOptions) save(e *env) func(compare.Comparison) error {
	if o.json == "-" {
		return nil
	}
	return func(c compare.Comparison) error { return e.writeJSON(o.json, c) }
}

// show writes and prints comparisons as the flags say.
func (s shown) show(e *env, all ...compare.Comparison) error {
	if len(all) == 1 {
		if err := e.writeJSON(s.json, all[0]); err != nil || s.json == "-" {
			return err
		}
	}
	if s.html != "" {
		page, err := report.HTML(all)
		if err == nil {
			err = os.WriteFile(s.html, page, 0o644)
		}
		if err != nil {
			return fault.New("write page", s.html, err, "")
		}
	}
	for _, c := range all {
		if s.markdown {
			e.term.Printf("%s", strings.TrimSpace(report.Markdown(c)))
		} else {
			e.term.Printf("%s", report.Text(c))
		}
	}
	return e.term.Err()
}

// newReportCommand shows comparisons again.
func newReportCommand(e *env) *cobra.Command {
	var s shown
	cmd := &cobra.Command{
		Use:     "report FILE...",
		Short:   "Show comparisons that were written as JSON again",
		Example: "  loadtest report mixed.json files.json --markdown\n  loadtest report mixed.json files.json versions.json --html comparison.html",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var all []compare.Comparison
			for _, path := range args {
				c, err := compare.Load(path)
				if err != nil {
					return err
				}
				all = append(all, c)
			}
			return s.show(e, all...)
		},
	}
	cmd.Flags().StringVar(&s.html, "html", "", "write a page with plots to this `FILE`")
	cmd.Flags().BoolVar(&s.markdown, "markdown", false, "print sections of Markdown instead of tables")
	return cmd
}
