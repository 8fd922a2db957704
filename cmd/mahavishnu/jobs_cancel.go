package main

import (
	"context"
	"os/user"

	"github.com/spf13/cobra"

	"mahavishnu/messages"
	"mahavishnu/worker"
)

type jobsCancelOptions struct {
	reason string
	wait   bool
}

func newJobsCancelCommand(e *env) *cobra.Command {
	var o jobsCancelOptions
	cmd := &cobra.Command{
		Use:   "cancel JOB",
		Short: "Stop a job: at once when it waits, at the next safe point when it runs",
		Long: `Stop a job. One that waits is cancelled at once; one that runs is asked to stop,
and keeps what it has stored. A cancelled job can be revived with "jobs redrive".`,
		Example: "  mahavishnu jobs cancel 5e0b1c2d3e4f5a6b --reason mistake",
		Args:    takes(1, 1, "the job's id"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runJobsCancel(cmd.Context(), e, args[0], o) },
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "`WHY`, kept in the job's record")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until it has stopped")
	return exits(cmd)
}

// whoami names the person at the terminal, for records.
func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

func runJobsCancel(ctx context.Context, e *env, id string, o jobsCancelOptions) error {
	return e.withQueue(ctx, func(q *queue) error {
		entry, err := q.job(ctx, id)
		if err != nil {
			return err
		}
		entry.Record, err = worker.Cancel(ctx, q.Bus, e.clock, entry.Job.ID, whoami(), o.reason)
		switch {
		case err != nil && entry.State == messages.StateRunning && entry.Cancel != nil:
			// The record holds the request; a worker that cannot be reached
			// reads it, or has died.
			e.term.Warnf("the worker %s did not answer (%v); the job stops at its next heartbeat", entry.Worker, err)
		case err != nil:
			return err
		}
		if o.wait && !entry.State.Final() {
			if entry, err = e.follow(ctx, q, entry.Job.ID, "stopping"); err != nil {
				return err
			}
		}
		e.term.Document(entry.Record)
		if entry.State == messages.StateCancelled {
			e.term.Printf("job %s is cancelled", entry.Job.ID)
		} else {
			e.term.Printf("job %s is asked to stop; follow it: mahavishnu jobs watch %s", entry.Job.ID, entry.Job.ID)
		}
		return nil
	})
}
