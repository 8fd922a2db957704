package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/loadtest/lookups"
	"mahavishnu/loadtest/process"
	"mahavishnu/terminal"
)

// indexOptions are the flags of `loadtest index`.
type indexOptions struct {
	blobs, asks int64
	dir, json   string
	keep        bool
	part        string // what this process is to do: everything, or one part
}

// The parts of the work, each done by a process of its own.
const (
	partFill = "fill"
	partAsk  = "ask"
)

// indexReport is what was measured of an index.
type indexReport struct {
	Made  lookups.Made   `json:"made"`
	Fill  process.Usage  `json:"fill"`
	Steps []lookups.Step `json:"steps"`
	Ask   process.Usage  `json:"ask"`
}

func newIndexCommand(e *env) *cobra.Command {
	var o indexOptions
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Measure the index of very many blobs: on the disk, and in memory",
		Long: `A repository is filled with that many blobs of a few bytes, all different. Another
process opens it and asks for blobs at random: first for some that are not there,
then for some that are. What its memory has grown by is told after each step.`,
		Example: "  loadtest index --blobs 10000000",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runIndex(cmd.Context(), e, o) },
	}
	flags := cmd.Flags()
	flags.Int64Var(&o.blobs, "blobs", 10_000_000, "how many blobs")
	flags.Int64Var(&o.asks, "asks", 1_000_000, "how many look-ups of each kind")
	flags.StringVar(&o.dir, "dir", "", "directory to work in, new or empty (default: a temporary one); 10,000,000 blobs need 2 GB")
	flags.BoolVar(&o.keep, "keep", false, "keep the directory")
	flags.StringVar(&o.part, "part", "", "do one part of the work in --dir")
	if err := flags.MarkHidden("part"); err != nil {
		panic(err) // the flag is named above
	}
	addJSON(cmd, &o.json)
	return cmd
}

func runIndex(ctx context.Context, e *env, o indexOptions) (err error) {
	if o.blobs < 1 || o.asks < 1 {
		return fmt.Errorf("--blobs and --asks must be positive")
	}
	switch o.part {
	case partFill:
		made, err := lookups.Fill(ctx, clock.System(), filepath.Join(o.dir, "index"), o.blobs)
		if err != nil {
			return err
		}
		return e.writeJSON("-", made)
	case partAsk:
		steps, err := lookups.Ask(ctx, clock.System(), filepath.Join(o.dir, "index"), o.blobs, o.asks)
		if err != nil {
			return err
		}
		return e.writeJSON("-", steps)
	}
	o.dir, err = (&tree{dir: o.dir}).directory()
	if err != nil {
		return err
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return fault.New("measure an index in", o.dir, err, "")
	}
	if !o.keep {
		defer os.RemoveAll(filepath.Join(o.dir, "index")) //nolint:errcheck // a directory that stays is seen
	}
	var r indexReport
	e.say("fill a repository with %s", terminal.Plural(o.blobs, "blob"))
	if r.Fill, err = part(ctx, o, partFill, &r.Made); err != nil {
		return err
	}
	e.say("ask it for %s that it does not have, and as many that it has", terminal.Plural(o.asks, "blob"))
	if r.Ask, err = part(ctx, o, partAsk, &r.Steps); err != nil {
		return err
	}
	if err := e.writeJSON(o.json, r); err != nil || o.json == "-" {
		return err
	}
	printIndex(e.term, r)
	return e.term.Err()
}

// part has a process do a part of the work, and reads what it prints.
func part(ctx context.Context, o indexOptions, name string, into any) (process.Usage, error) {
	self, err := os.Executable()
	if err != nil {
		return process.Usage{}, err
	}
	usage, out, err := process.Runner{Self: self}.Run(ctx, process.Command{Args: []string{
		self, "index", "--part", name, "--dir", o.dir, "--blobs", fmt.Sprint(o.blobs), "--asks", fmt.Sprint(o.asks),
	}})
	if err != nil {
		return usage, err
	}
	return usage, json.Unmarshal(out, into)
}

func printIndex(term *terminal.Terminal, r indexReport) {
	each := func(bytes int64) string { return fmt.Sprintf("%.2f", float64(bytes)/float64(r.Made.Blobs)) }
	term.Printf("%s in %s; filled in %s (%s of processor time, %s at most)\n",
		terminal.Plural(r.Made.Blobs, "blob"), terminal.Plural(r.Made.Packs, "pack"),
		terminal.Duration(r.Fill.Wall), terminal.Duration(r.Fill.CPU()), terminal.Bytes(r.Fill.PeakMemory))
	term.Printf("on the disk: %s in %s, %s bytes a blob (aim: 48); second copies: %s\n", terminal.Bytes(r.Made.Index),
		terminal.Plural(r.Made.Fragments, "fragment"), each(r.Made.Index), terminal.Bytes(r.Made.Copies))
	table := terminal.NewTable("after", "took>", "a look-up>", "held>", "bytes a blob>", "index pages>", "bytes a blob>")
	for _, s := range r.Steps {
		look := ""
		if s.Asked > 0 {
			look = fmt.Sprintf("%.2f µs", s.Took.Seconds()*1e6/float64(s.Asked))
		}
		name := s.Name
		if s.Asked > 0 {
			name = terminal.Count(s.Asked) + " " + name
		}
		table.Row(name, terminal.Duration(s.Took), look, terminal.Bytes(s.Grown.Held), each(s.Grown.Held), terminal.Bytes(s.Grown.Mapped), each(s.Grown.Mapped))
	}
	term.Printf("\n%s\nheld is memory that only the program can give back (aim: under 8 bytes a blob resident); index pages are mapped from\n"+
		"files and counted once they were touched: the kernel takes them back when it needs the room. Peak of the process that asks: %s\n",
		table, terminal.Bytes(r.Ask.PeakMemory))
}
