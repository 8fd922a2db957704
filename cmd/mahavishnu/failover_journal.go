package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mahavishnu/coordinator/plan"
	"mahavishnu/terminal"
)

type failoverJournalOptions struct {
	last   int
	follow bool
}

func newFailoverJournalCommand(e *env) *cobra.Command {
	var o failoverJournalOptions
	cmd := &cobra.Command{
		Use:   "journal [EXECUTION]",
		Short: "List what plans did, or show every step of one execution",
		Long: `List the executions of plans, newest first, and what each protected thing is held by
or away by. With an execution's id, or a part of it, show every attempt at every
step: when, by whom, under which epoch, and how it ended; and the approvals.`,
		Example: "  mahavishnu failover journal\n  mahavishnu failover journal region_failure-20260301T021500-x7kaqd\n  mahavishnu failover journal x7kaqd --follow",
		Args:    takes(0, 1, "the execution's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withJournal(cmd.Context(), func(_ *queue, x *plan.Executor) error {
				if len(args) == 0 {
					return runFailoverExecutions(cmd.Context(), e, x, o)
				}
				return runFailoverJournal(cmd.Context(), e, x, args[0], o)
			})
		},
	}
	cmd.Flags().IntVar(&o.last, "last", 20, "only the newest `N`; 0 shows all")
	cmd.Flags().BoolVar(&o.follow, "follow", false, "follow it until it is done, stops, or waits for somebody")
	return exits(cmd)
}

func runFailoverExecutions(ctx context.Context, e *env, x *plan.Executor, o failoverJournalOptions) error {
	all, err := x.List(ctx)
	if err != nil {
		return err
	}
	standings, err := x.Standings(ctx)
	if err != nil {
		return err
	}
	if o.last > 0 && len(all) > o.last {
		all = all[:o.last]
	}
	e.term.Document(struct {
		Executions []plan.Execution `json:"executions"`
		Things     []plan.Standing  `json:"things"`
	}{nonNil(all), nonNil(standings)})
	if len(all) == 0 {
		e.term.Printf("no plan was ever carried out")
		return nil
	}
	table := terminal.NewTable("execution", "state", "variant", "by", "began", "took", "note")
	for _, x := range all {
		by := x.By
		if x.Trigger == plan.Automatic {
			by = "itself"
		}
		took := x.Updated.Sub(x.Created)
		if !x.Finished.IsZero() {
			took = x.Finished.Sub(x.Created)
		}
		table.Row(x.ID, string(x.State), string(x.Variant), by, terminal.Moment(x.Created), terminal.Duration(took), terminal.Cut(executionNote(&x), 60))
	}
	e.term.Printf("%s", table)
	for _, s := range standings {
		switch {
		case s.Holder != "":
			e.term.Printf("%s is held by %s", s.Thing, s.Holder)
		case s.Away != "":
			e.term.Printf("%s is away since %s; to go back: mahavishnu failover failback %[2]s", s.Thing, s.Away)
		}
	}
	return nil
}

// executionNote is what a person wants to know of an execution in a list.
func executionNote(x *plan.Execution) string {
	if _, asks := x.Question(); asks {
		return "waits to be approved"
	}
	if x.Overdue != "" {
		return "cannot be taken back yet: " + x.Overdue
	}
	if x.Error != "" {
		return x.Error
	}
	if s, undo, ok := x.Current(); ok {
		if undo {
			return "taking back " + s.Name
		}
		return "at " + s.Name
	}
	if x.State == plan.StateFailedOver {
		return "until " + terminal.Moment(x.CommitBy) + " it can be taken back"
	}
	return x.Reason
}

func runFailoverJournal(ctx context.Context, e *env, x *plan.Executor, id string, o failoverJournalOptions) error {
	found, err := x.Find(ctx, id)
	if err != nil {
		return err
	}
	if o.follow {
		return e.followExecution(ctx, x, found.ID, "")
	}
	e.term.Document(found)
	e.term.Printf("%s: %s", found.ID, found.State)
	e.term.Printf("  %s of plan %s, began %s by %s (%s)", found.Variant, found.Plan.Name, terminal.Moment(found.Created), found.By, found.Trigger)
	for _, name := range sortedKeys(found.Params) {
		e.term.Printf("  %s=%s", name, found.Params[name])
	}
	if found.Reason != "" {
		e.term.Printf("  reason: %s", found.Reason)
	}
	if found.Error != "" {
		e.term.Printf("  %s", e.term.Mark(terminal.Bad, found.Error))
	}
	if found.Overdue != "" {
		e.term.Printf("  %s; %s", e.term.Mark(terminal.Bad, "its window has ended, and it cannot be taken back yet: "+found.Overdue), found.OverdueHint())
	}
	table := terminal.NewTable("began", "step", "attempt>", "outcome", "took", "by", "epoch>", "note")
	for _, entry := range found.Entries {
		step, outcome, took := entry.Step, string(entry.Outcome), ""
		if entry.Undo {
			step = "undo " + step
		}
		if outcome == "" {
			outcome = "under way"
		} else {
			took = terminal.Duration(entry.Finished.Sub(entry.Started))
		}
		note := entry.Output
		if entry.Error != "" {
			note = entry.Error
		}
		table.Row(entry.Started.Format("15:04:05.000"), step, fmt.Sprint(entry.Attempt), outcome, took, entry.Actor, fmt.Sprint(entry.Epoch), terminal.Cut(note, 80))
	}
	e.term.Printf("\n%s", table)
	for _, a := range found.Approvals {
		e.term.Printf("step %s approved by %s, %s", a.Step, a.Approver, terminal.Moment(a.At))
	}
	for _, r := range found.Refusals {
		e.term.Printf("an approval of %q refused, %s: %s", r.Approver, terminal.Moment(r.At), r.Reason)
	}
	if w := found.Wish; w != nil {
		e.term.Printf("%s by %s, %s %s", w.Verb, w.By, terminal.Moment(w.At), w.Reason)
	}
	return nil
}
