package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"mahavishnu/clock"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
)

// newKeeperWatchdogCommand is run by keepers and by nobody else: it reads from its standard
// input until when a member of a service may go on.
func newKeeperWatchdogCommand() *cobra.Command {
	return exits(&cobra.Command{
		Use:    "keeper-watchdog",
		Short:  "Stop a member of a service when its keeper is gone",
		Long:   "Started by the keeper of a service's member. It reads until when the member may go on, and stops it when that moment passes or the keeper is gone.",
		Args:   takes(0, 0, ""),
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Signals that end the keeper must not end what watches it: it ends by itself. Nor
			// must a standard error that ended with the keeper. They are caught, not ignored:
			// the programs that stop the member would inherit that.
			deaf := make(chan os.Signal, 1)
			signal.Notify(deaf, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
			ctx := context.WithoutCancel(cmd.Context())
			return keeper.Watch(ctx, os.Stdin, os.Stderr, standby.Spec.Open, clock.System())
		},
	})
}
