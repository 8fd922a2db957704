// Command loadtest measures mahavishnu on this machine: it makes a tree of
// known content, works on it with the real binary, and prints what each step
// took in time, processor and memory.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/loadtest/pipeline"
	"mahavishnu/loadtest/process"
	"mahavishnu/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// env is what every command gets: the way to the outside. Results go to the
// standard output, and what is going on to the standard error.
type env struct {
	term *terminal.Terminal
	errs io.Writer
}

// say tells what is going on.
func (e *env) say(format string, args ...any) { fmt.Fprintf(e.errs, format+"\n", args...) }

// execute runs one command line and returns the exit code: 0 done, 1 failed.
func execute(ctx context.Context, args []string, out, errs io.Writer) int {
	e := &env{term: terminal.New(out, errs, terminal.Options{}), errs: errs}
	root := &cobra.Command{
		Use:           "loadtest",
		Short:         "Measure backups, restores and failovers on this machine, and compare with other programs",
		Long:          "Every figure is of a whole process, as the operating system accounts for it.\nCompare figures of one run only: machines differ, and differ from day to day.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newMeasureCommand(e, false), newMeasureCommand(e, true), newCompareCommand(e), newReportCommand(e), newIndexCommand(e), newUploadCommand(e), newPipelineCommand(e), newProcessCommand(),
		newFailoverCommand(e), newDetectionCommand(e), newQueueCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(errs, "loadtest: %v\n", err)
		return 1
	}
	return 0
}

// newProcessCommand is the small process between this program and one that is
// measured; see package process.
func newProcessCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "measure FILE",
		Short:  "Run the command that a file describes, and put what it took into the file",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return process.Measure(cmd.Context(), clock.System(), args[0])
		},
	}
}

// newPipelineCommand is what comparisons run as a process of its own.
func newPipelineCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "pipeline TREE DIRECTORY",
		Short: "Read, hash, compress, seal and write a tree, and nothing else: the limit of the machine",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := pipeline.Run(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			through := "past the page cache"
			if !r.Direct {
				through = "through the page cache"
			}
			e.term.Printf("%s, %s, written as %s %s", terminal.Plural(r.Files, "file"), terminal.Bytes(r.Bytes), terminal.Bytes(r.Stored), through)
			return e.term.Err()
		},
	}
}

// addJSON adds the flag that all measuring commands have.
func addJSON(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "json", "", "write what was measured to this `FILE`; - is standard output, instead of tables")
}

// writeJSON writes a document to a file, or to standard output for "-".
func (e *env) writeJSON(path string, document any) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	if path == "-" {
		e.term.Printf("%s", data)
		return e.term.Err()
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fault.New("write what was measured", path, err, "")
	}
	return nil
}
