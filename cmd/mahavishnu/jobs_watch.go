package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

func newJobsWatchCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "watch [JOB]",
		Short: "Follow a job to its end, or all jobs as they change",
		Long: `Follow one job with its progress until it ends; the exit status is the one the
work itself would have had. Without a job, print a line for every change of any
job until interrupted.`,
		Example: "  mahavishnu jobs watch 5e0b1c2d3e4f5a6b\n  mahavishnu jobs watch --json",
		Args:    takes(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return runJobsWatchOne(cmd.Context(), e, args[0])
			}
			return runJobsWatchAll(cmd.Context(), e)
		},
	}, exitUnreadable, exitIntegrity, exitFenced)
}

func runJobsWatchOne(ctx context.Context, e *env, id string) error {
	return e.withQueue(ctx, func(q *queue) error {
		entry, err := q.job(ctx, id)
		if err != nil {
			return err
		}
		if entry, err = e.follow(ctx, q, entry.Job.ID, string(entry.Job.Kind)); err != nil {
			return err
		}
		return e.tellJob(entry)
	})
}

// tellJob prints how a followed job ended, and returns what that means.
func (e *env) tellJob(entry bus.Entry) error {
	e.term.Event("finished", entry.Record)
	if entry.State == messages.StateSucceeded {
		e.term.Sayf("job %s succeeded in %s, attempt %d", entry.Job.ID, terminal.Duration(entry.Finished.Sub(entry.Started)), entry.Attempt)
	}
	return jobError(entry)
}

func runJobsWatchAll(ctx context.Context, e *env) error {
	return e.withQueue(ctx, func(q *queue) error {
		err := q.FollowEvents(ctx, bus.EventFilter{}, func(m bus.EventMessage) error {
			e.term.Event("job", m.Event)
			line := terminal.Moment(m.Time.Local()) + "  " + string(m.Outcome) + "  " + string(m.Kind)
			if m.Source != "" {
				line += " of " + terminal.Name(m.Source)
			}
			line += "  " + terminal.Name(m.Job)
			if m.Error != "" {
				line += ": " + terminal.Name(m.Error)
			}
			e.term.Printf("%s", line)
			return nil
		})
		var interrupted *interruptedError
		if errors.As(context.Cause(ctx), &interrupted) {
			return interrupted
		}
		return err
	})
}
