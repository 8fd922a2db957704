package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/terminal"
)

type failoverExecuteOptions struct {
	set      map[string]string
	graceful bool
	dryRun   bool
	detach   bool
	reason   string
	digest   string
}

func newFailoverExecuteCommand(e *env) *cobra.Command {
	var o failoverExecuteOptions
	cmd := &cobra.Command{
		Use:   "execute PLAN",
		Short: "Carry out a failover plan",
		Long: `Have the leading coordinator carry out a plan, and follow it until it is done, stops,
or waits for somebody. It goes on when this command is interrupted.

With --graceful both sides work and nothing is lost: the old one is stopped in good
order first. Without it, the old one is gone, or may be.

The order carries the digest of the plan as this machine has it. When the leading
coordinator has another plan of that name, it refuses, and says how to see and how to
have its own.`,
		Example: `  mahavishnu failover execute region_failure --set from=us-east-1 --set to=eu-west-1 --dry-run
  mahavishnu failover execute region_failure --set from=us-east-1 --set to=eu-west-1 --reason outage
  mahavishnu failover execute single_server_failure --graceful --set service=db --set to=db-2`,
		Args: takes(1, 1, "the plan's name"),
		RunE: func(cmd *cobra.Command, args []string) error { return runFailoverExecute(cmd.Context(), e, args[0], o) },
	}
	flags := cmd.Flags()
	flags.StringToStringVar(&o.set, "set", nil, "a parameter as `NAME=VALUE`; may be repeated. Those left out are filled in where that is possible")
	flags.BoolVar(&o.graceful, "graceful", false, "both sides work: lose nothing")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only look whether every step could be carried out now; change nothing")
	flags.BoolVar(&o.detach, "detach", false, "do not follow it")
	flags.StringVar(&o.digest, "digest", "", "the `DIGEST` of the plan that is meant, as --dry-run or failover plan shows it (default: that of this machine's)")
	flags.StringVar(&o.reason, "reason", "", "why, for those who look later (`TEXT`)")
	return exits(cmd)
}

func runFailoverExecute(ctx context.Context, e *env, name string, o failoverExecuteOptions) error {
	request := plan.Request{Ask: plan.AskExecute, Plan: name, Params: o.set, By: whoami(), Reason: o.reason, Digest: e.seenDigest(name, o.digest)}
	if o.graceful {
		request.Variant = plan.Graceful
	}
	if o.dryRun {
		request.Ask = plan.AskTry
	}
	return e.withJournal(ctx, func(q *queue, x *plan.Executor) error {
		reply, err := e.askLeader(ctx, q, request)
		if o.dryRun && reply.Evaluation != nil {
			e.term.Document(reply.Evaluation)
			e.printEvaluation(reply.Evaluation)
		}
		switch {
		case err != nil:
			return err
		case o.dryRun && reply.Evaluation == nil:
			return fault.New("try plan", name, errors.New("the leading coordinator sent no findings"), "")
		case o.dryRun:
			if broken := reply.Evaluation.Broken(); broken != "" {
				return fault.New("try plan", name, errors.New(broken), "mend it, then look again")
			}
			return nil
		}
		return e.afterOrder(ctx, x, reply, plan.AskExecute, o.detach)
	})
}

// afterOrder shows an execution that was begun or decided about, and follows it.
func (e *env) afterOrder(ctx context.Context, x *plan.Executor, reply plan.Reply, ask plan.Ask, detach bool) error {
	if reply.Execution == nil {
		return fault.New("carry out plan", "", errors.New("the leading coordinator sent no execution"), "mahavishnu failover journal")
	}
	if detach {
		e.term.Document(reply.Execution)
		e.term.Printf("%s is %s; follow it: mahavishnu failover journal %s", reply.Execution.ID, reply.Execution.State, reply.Execution.ID)
		return nil
	}
	e.term.Sayf("%s; it goes on when this is interrupted: mahavishnu failover journal %[1]s", reply.Execution.ID)
	return e.followExecution(ctx, x, reply.Execution.ID, ask)
}

// followEvery is how often a followed execution is read.
const followEvery = 250 * time.Millisecond

// followExecution tells what is journaled, until nothing more happens by itself. What was
// asked for decides what counts as success; "" is nothing.
func (e *env) followExecution(ctx context.Context, x *plan.Executor, id string, ask plan.Ask) error {
	told := map[int]plan.Outcome{}
	question := plan.Question{}
	for {
		now, err := x.Find(ctx, id)
		if err != nil {
			return err
		}
		for i, entry := range now.Entries {
			if before, known := told[i]; known && before == entry.Outcome {
				continue
			}
			told[i] = entry.Outcome
			e.term.Event("step", entry)
			if entry.Outcome != "" {
				e.term.Printf("%s", entryLine(entry))
			}
		}
		if q, asks := now.Question(); asks && q != question {
			question = q
			e.term.Event("question", q)
			e.term.Warnf("it waits to be approved: mahavishnu failover approve %s --key-file FILE", id)
		}
		// What was decided is written down, and done a moment later.
		decided := now.State == plan.StateFailedOver && now.Wish != nil
		if !decided && !slices.Contains([]plan.State{plan.StateReady, plan.StateExecuting, plan.StateRollingBack}, now.State) {
			e.term.Event("state", struct {
				Execution string     `json:"execution"`
				State     plan.State `json:"state"`
				Error     string     `json:"error,omitempty"`
			}{now.ID, now.State, now.Error})
			return e.standing(&now, ask)
		}
		if err := e.clock.Sleep(ctx, followEvery); err != nil {
			return err
		}
	}
}

// standing says how an execution stands and what can be done about it.
func (e *env) standing(x *plan.Execution, ask plan.Ask) error {
	switch x.State {
	case plan.StateFailedOver:
		if x.Overdue != "" {
			return fault.New("take back plan", x.ID, fmt.Errorf("its window has ended, and it would stop halfway: %s", x.Overdue), x.OverdueHint())
		}
		e.term.Printf("%s has failed over; until %s it can be taken back whole: mahavishnu failover rollback %[1]s\nto keep it at once: mahavishnu failover commit %[1]s",
			x.ID, terminal.Moment(x.CommitBy))
	case plan.StateStopped:
		if x.Resume == plan.StateRollingBack {
			return fault.New("take back plan", x.ID, fmt.Errorf("it stopped halfway: %s", strings.Join(append([]string{x.Error}, x.Told()...), "; ")),
				fmt.Sprintf("repair it, then: mahavishnu failover continue %[1]s\nor leave it as it stands: mahavishnu failover commit %[1]s\nwhat to do by hand: mahavishnu failover plan %[2]s --runbook", x.ID, x.Plan.Name))
		}
		return fault.New("carry out plan", x.ID, fmt.Errorf("it stopped: %s", x.Error),
			fmt.Sprintf("repair it, then: mahavishnu failover continue %[1]s\nor take back what was done: mahavishnu failover rollback %[1]s\nor, when all is done by hand: mahavishnu failover commit %[1]s\nwhat to do by hand: mahavishnu failover plan %[2]s --runbook", x.ID, x.Plan.Name))
	case plan.StateRolledBack:
		if x.Error != "" && ask == plan.AskRollback { // why it had stopped, which is settled by this
			e.term.Printf("%s is taken back, as was asked; it had stopped: %s", x.ID, x.Error)
			return nil
		}
		if x.Error != "" {
			return fault.New("carry out plan", x.ID, fmt.Errorf("it ended, and what it had done is taken back: %s", x.Error), "mahavishnu failover journal "+x.ID)
		}
		e.term.Printf("%s is taken back", x.ID)
	case plan.StateRefused:
		return fault.New("carry out plan", x.ID, errors.New(x.Error), "mahavishnu failover journal")
	case plan.StateCommitted:
		if back, _ := x.TakenBack(); len(back) > 0 {
			e.term.Printf("%s is left as it stands: %s", x.ID, strings.Join(x.Told(), "; "))
		} else {
			e.term.Printf("%s is done", x.ID)
		}
		if x.Plan.Failback != "" {
			e.term.Sayf("to go back later: mahavishnu failover failback %s", x.ID)
		}
	default:
		e.term.Printf("%s is %s", x.ID, x.State)
	}
	return nil
}

// entryLine is a line of the journal for people.
func entryLine(entry plan.Entry) string {
	verb := ""
	if entry.Undo {
		verb = "undo "
	}
	text := entry.Output
	if entry.Error != "" {
		text = entry.Error
	}
	line := fmt.Sprintf("%s%s: %s", verb, entry.Step, entry.Outcome)
	if took := entry.Finished.Sub(entry.Started); took > 0 {
		line += " in " + terminal.Duration(took)
	}
	if text != "" {
		line += " (" + terminal.Cut(text, 200) + ")"
	}
	return line
}
