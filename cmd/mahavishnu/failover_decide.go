package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mahavishnu/coordinator/plan"
)

type failoverDecideOptions struct {
	reason string
	detach bool
	digest string
	force  bool
}

// decideCommand makes a command that decides about an execution.
func decideCommand(e *env, ask plan.Ask, short, long string, least int) *cobra.Command {
	var o failoverDecideOptions
	use := "EXECUTION"
	if least == 0 {
		use = "[EXECUTION]"
	}
	cmd := &cobra.Command{
		Use: string(ask) + " " + use, Short: short, Long: long,
		Example: fmt.Sprintf("  mahavishnu failover %s region_failure-20260301T021500-x7kaqd\n  mahavishnu failover %[1]s x7kaqd --reason whole", ask),
		Args:    takes(least, 1, "the execution's id, or a part of it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			return runFailoverDecide(cmd.Context(), e, ask, id, o)
		},
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for those who look later (`TEXT`)")
	if ask == plan.AskFailback {
		cmd.Flags().StringVar(&o.digest, "digest", "", "the `DIGEST` of the failback's plan that is meant, as failover plan shows it (default: that of this machine's)")
	}
	if ask == plan.AskRollback {
		cmd.Flags().BoolVar(&o.force, "force", false, "begin also when it would stop halfway as things are")
	}
	cmd.Flags().BoolVar(&o.detach, "detach", false, "do not follow what comes of it")
	return exits(cmd)
}

func newFailoverCommitCommand(e *env) *cobra.Command {
	return decideCommand(e, plan.AskCommit, "Keep what a plan did, for good",
		`Keep what a plan did before its window ends, or after it stopped and was repaired by
hand. From then on it can only be gone back from, with "failover failback".`, 1)
}

func newFailoverRollbackCommand(e *env) *cobra.Command {
	return decideCommand(e, plan.AskRollback, "Take back what a plan did",
		`Take back what a plan did, step by step in reverse order: while it runs, after it
stopped, or within its window. What a step does not know how to take back stays; the
plan's runbook names it.

It is refused when something could not be taken back as things are, because a region
or a keeper is silent for one: taken back halfway is worse than either side.`, 1)
}

func newFailoverContinueCommand(e *env) *cobra.Command {
	return decideCommand(e, plan.AskContinue, "Go on with a plan that stopped at a step, once it is repaired",
		`Try the step at which a plan stopped once more, and go on. If it has taken effect
meanwhile, by hand for one, it is not done again.`, 1)
}

func newFailoverFailbackCommand(e *env) *cobra.Command {
	return decideCommand(e, plan.AskFailback, "Go back from a failover that was kept",
		`Carry out the plan that goes back from an execution: data written meanwhile comes
along, and the two sides change places in good order. Without an execution, the only
one that anything is away by. Going back never starts by itself.`, 0)
}

func runFailoverDecide(ctx context.Context, e *env, ask plan.Ask, id string, o failoverDecideOptions) error {
	return e.withJournal(ctx, func(q *queue, x *plan.Executor) error {
		request := plan.Request{Ask: ask, Execution: id, By: whoami(), Reason: o.reason, Force: o.force}
		find := x.Find
		if ask == plan.AskFailback {
			find = x.Away
		}
		seen, err := find(ctx, id)
		if err != nil {
			return err
		}
		request.Execution, request.Digest = seen.ID, seen.Digest
		if ask == plan.AskFailback {
			request.Digest = e.seenDigest(seen.Plan.Failback, o.digest)
		}
		reply, err := e.askLeader(ctx, q, request)
		if err != nil {
			return err
		}
		return e.afterOrder(ctx, x, reply, ask, o.detach)
	})
}
