package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

func newJobsCommand(e *env) *cobra.Command {
	return parent("jobs", "List, follow, cancel and revive jobs",
		`Every piece of work is a job: a small JSON message in the queue, and a record of
what became of it. A job can be named by its id or by the end of it.

Anyone may add one: nats pub -J dr.jobs.backup.REGION '{"source":"home"}'`,
		`  mahavishnu jobs list
  mahavishnu jobs watch
  mahavishnu jobs dead list`,
		newJobsListCommand(e), newJobsShowCommand(e), newJobsWatchCommand(e), newJobsCancelCommand(e),
		newJobsDeadCommand(e), newJobsRedriveCommand(e), newJobsSchemaCommand(e))
}

type jobsListOptions struct {
	states, kinds  []string
	region, source string
	since          time.Duration
	last           int
}

func newJobsListCommand(e *env) *cobra.Command {
	var o jobsListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List jobs, newest first",
		Example: `  mahavishnu jobs list
  mahavishnu jobs list --state running,retrying
  mahavishnu jobs list --source home --since 24h --last 0`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runJobsList(cmd.Context(), e, o) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.states, "state", nil, "only jobs in this `STATE`; may be repeated")
	flags.StringSliceVar(&o.kinds, "kind", nil, "only jobs of this `KIND`; may be repeated")
	flags.StringVar(&o.region, "region", "", "only jobs for this `REGION`")
	flags.StringVar(&o.source, "source", "", "only jobs on this `SOURCE`")
	flags.DurationVar(&o.since, "since", 0, "only jobs younger than this `TIME`, such as 90m or 24h")
	flags.IntVar(&o.last, "last", 20, "only the newest `N`; 0 shows all")
	return exits(cmd)
}

func (o jobsListOptions) filter(now time.Time) (bus.Filter, error) {
	f := bus.Filter{Region: o.region, Source: o.source, Limit: o.last}
	for _, s := range o.states {
		var names []string
		for _, state := range messages.States() {
			names = append(names, string(state))
		}
		if err := oneOf("mahavishnu jobs list", "--state", s, names...); err != nil {
			return f, err
		}
		f.States = append(f.States, messages.State(s))
	}
	for _, k := range o.kinds {
		kind, err := messages.ParseKind(k)
		if err != nil {
			return f, err
		}
		f.Kinds = append(f.Kinds, kind)
	}
	if o.since > 0 {
		f.Since = now.Add(-o.since)
	}
	return f, nil
}

func runJobsList(ctx context.Context, e *env, o jobsListOptions) error {
	filter, err := o.filter(e.clock.Now())
	if err != nil {
		return err
	}
	return e.withQueue(ctx, func(q *queue) error {
		entries, err := q.Records().List(ctx, filter)
		if err != nil {
			return err
		}
		records := make([]messages.Record, len(entries))
		for i, entry := range entries {
			records[i] = entry.Record
		}
		e.term.Document(struct {
			Jobs []messages.Record `json:"jobs"`
		}{records})
		if len(records) == 0 {
			e.term.Printf("no job fits")
			return nil
		}
		e.term.Printf("%s", jobTable(records, e.clock.Now()))
		return nil
	})
}

func jobTable(records []messages.Record, now time.Time) *terminal.Table {
	table := terminal.NewTable("job", "state", "kind", "source", "region", "attempt>", "age", "took", "notes")
	for _, r := range records {
		took := ""
		switch {
		case !r.Finished.IsZero() && !r.Started.IsZero():
			took = terminal.Duration(r.Finished.Sub(r.Started))
		case r.State == messages.StateRunning:
			took = terminal.Duration(now.Sub(r.Started).Truncate(time.Second))
		}
		table.Row(r.Job.ID, string(r.State), string(r.Job.Kind), messages.SourceOf(r.Job.Spec), r.Job.Region,
			terminal.Count(r.Attempt), terminal.Duration(now.Sub(r.Created).Truncate(time.Second)), took,
			terminal.Cut(jobNote(r, now), 60))
	}
	return table
}

// jobNote is what a person wants to know of a job in a list.
func jobNote(r messages.Record, now time.Time) string {
	switch {
	case r.State == messages.StateRunning && r.Cancel != nil:
		return "asked to stop"
	case r.State == messages.StateRunning && r.Progress != nil:
		p := r.Progress
		if p.TotalBytes > 0 {
			return fmt.Sprintf("%s, %s of %s", terminal.Plural(p.Files, "file"), terminal.Bytes(p.Bytes), terminal.Bytes(p.TotalBytes))
		}
		return fmt.Sprintf("%s, %s", terminal.Plural(p.Files, "file"), terminal.Bytes(p.Bytes))
	case r.State == messages.StateRetrying:
		return strings.TrimSpace("again " + terminal.Ago(r.RetryAt, now) + ": " + r.Error)
	}
	first, _, _ := strings.Cut(r.Error, "\n")
	return first
}
