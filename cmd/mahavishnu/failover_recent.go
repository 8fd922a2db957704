package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/terminal"
)

// recently is how long the status shows an execution that has ended: whoever comes in
// the morning sees what happened at night.
const recently = 24 * time.Hour

// recentExecution is an execution as the status shows it.
type recentExecution struct {
	Execution string       `json:"execution"`
	Plan      string       `json:"plan"`
	State     plan.State   `json:"state"`
	Trigger   plan.Trigger `json:"trigger"`
	By        string       `json:"by"`
	Began     time.Time    `json:"began"`
	Ended     time.Time    `json:"ended,omitzero"`
	// Note is what a person wants to know of it.
	Note string `json:"note,omitempty"`
	// Told is what its plan had to tell people.
	Told []string `json:"told,omitempty"`
	// Wants is what it waits for from people, with the command; "" is nothing.
	Wants string `json:"wants,omitempty"`

	things []string // that it protects
}

// readExecutions reads what is under way and what has ended recently.
func (r *failoverReport) readExecutions(ctx context.Context, b *bus.Bus, cfg *config.Config, now time.Time) error {
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		return err
	}
	x, err := plan.NewExecutor(plan.Options{Journal: plan.FromBus(store), Registry: plan.Standard(), Node: cfg.Node.Name})
	if err != nil {
		return err
	}
	all, err := x.List(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if !all[i].State.Final() || now.Sub(all[i].Finished) < recently {
			r.Executions = append(r.Executions, recentOf(&all[i]))
		}
	}
	return nil
}

func recentOf(x *plan.Execution) recentExecution {
	r := recentExecution{
		Execution: x.ID, Plan: x.Plan.Name, State: x.State, Trigger: x.Trigger, By: x.By, Began: x.Created, Ended: x.Finished,
		Note: executionNote(x), Told: x.Told(), things: x.Things,
	}
	if _, asks := x.Question(); asks {
		r.Wants = "waits to be approved: mahavishnu failover approve " + x.ID + " --key-file FILE"
	}
	if x.State == plan.StateStopped {
		r.Wants = fmt.Sprintf("stopped: %s; look, then decide: mahavishnu failover journal %s", x.Error, x.ID)
		if x.Trigger == plan.ByHand { // a newer fault ends what began by itself
			r.Wants += fmt.Sprintf("; until then nothing fails over by itself on %s; to let go of it: mahavishnu failover rollback %s, or as it stands: mahavishnu failover commit %[2]s",
				strings.Join(x.Things, " and "), x.ID)
		}
	}
	if x.Overdue != "" {
		r.Wants = "is not taken back although its window has ended: " + x.Overdue + "; " + x.OverdueHint()
	}
	return r
}

// printExecutions shows them, with what their plans had to tell.
func (r failoverReport) printExecutions(e *env) {
	if len(r.Executions) == 0 {
		return
	}
	table := terminal.NewTable("execution", "state", "by", "began", "note")
	for _, x := range r.Executions {
		by, note := x.By, x.Note
		if x.Trigger == plan.Automatic {
			by = "itself"
		}
		if len(x.Told) > 0 {
			note = strings.Join(x.Told, "; ")
		}
		table.Row(x.Execution, string(x.State), by, terminal.Ago(x.Began, e.clock.Now()), terminal.Cut(note, 100))
	}
	e.term.Printf("\n%s", table)
}
