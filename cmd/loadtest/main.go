// Command loadtest measures mahavishnu on this machine: it makes a tree of
// known content, works on it with the real binary, and prints what each step
// took in time, processor and memory.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"mahavishnu/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command line and returns the exit code: 0 done, 1 failed.
func execute(ctx context.Context, args []string, out, errs io.Writer) int {
	var asJSON bool
	root := &cobra.Command{
		Use:           "loadtest",
		Short:         "Measure backups and restores on this machine",
		Long:          "Every figure is of a whole process, as the operating system accounts for it.\nCompare figures of one run only: machines differ, and differ from day to day.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	root.PersistentFlags().BoolVar(&asJSON, "json", false, "write one JSON document instead of a table")
	root.CompletionOptions.DisableDefaultCmd = true
	for _, restore := range []bool{false, true} {
		root.AddCommand(newMeasureCommand(restore, func() *terminal.Terminal {
			return terminal.New(out, errs, terminal.Options{JSON: asJSON})
		}))
	}
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(errs, "loadtest: %v\n", err)
		return 1
	}
	return 0
}
