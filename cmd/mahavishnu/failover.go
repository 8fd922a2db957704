package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

func newFailoverCommand(e *env) *cobra.Command {
	return parent("failover", "See who is down, and carry out plans about it",
		`See first what is down, why, and what is done about it: failover status. Then:

  a server died        nothing: another takes over by itself, and what died follows it later
  a member hangs and   stop it by hand, then: failover confirm-stopped SERVICE MEMBER --reason WHY
  cannot be stopped
  a region died        failover execute region_failure --set from=DEAD --set to=OTHER
                       failover approve EXECUTION --key-file FILE
  a region is cut off  nothing, or: failover execute network_partition --set from=CUT --set to=OTHER
  a plan stopped       failover journal EXECUTION, then continue, rollback or commit
  a new service has    failover execute first_primary --set service=NAME --set member=MEMBER
  no primary yet
  a server has to go   failover execute single_server_failure --graceful --set service=NAME --set to=MEMBER
  nobody leads         start the coordinators that failover status names, or mend the line
  it is back           failover failback

With --dry-run execute looks at every step and changes nothing.

A plan is what is done about a disaster, in order: checks, actions, waits, approvals
and probes. Plans are shipped for the failure of a server, of a region, and of the
network between regions; write your own as YAML (docs/failover-plans.md).

The leading coordinator carries them out. When it dies in the middle, the next one
goes on and repeats nothing.`,
		`  mahavishnu failover status
  mahavishnu failover plan
  mahavishnu failover execute region_failure --set from=us-east-1 --set to=eu-west-1 --dry-run
  mahavishnu failover journal`,
		newFailoverStatusCommand(e), newFailoverPlanCommand(e), newFailoverExecuteCommand(e), newFailoverApproveCommand(e),
		newFailoverJournalCommand(e), newFailoverCommitCommand(e), newFailoverRollbackCommand(e), newFailoverContinueCommand(e),
		newFailoverFailbackCommand(e), newFailoverConfirmCommand(e), newFailoverApproverCommand(e))
}

// planPatience is how long the leader may take to answer. Looking at every step of a
// plan takes longest.
const planPatience = 2 * time.Minute

// askLeader sends a request about plans to the leading coordinator. While none leads,
// which is so for a moment after one has died, it is asked again.
func (e *env) askLeader(ctx context.Context, q *queue, request plan.Request) (plan.Reply, error) {
	const attempts, between = 20, 500 * time.Millisecond
	data, err := json.Marshal(request)
	if err != nil {
		return plan.Reply{}, fault.New("ask", string(request.Ask), err, "")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, planPatience, errors.New("the leading coordinator did not answer"))
	defer cancel()
	for attempt := 1; ; attempt++ {
		answer, err := q.AskPlans(ctx, data)
		var reply plan.Reply
		if err == nil {
			if reply, err = plan.DecodeReply(answer); err != nil {
				return reply, fault.New("ask", messages.SubjectPlanControl, err, "")
			}
			if err = reply.Err(); reply.Warning != "" && !errors.Is(err, plan.ErrNotLeading) && !errors.Is(err, plan.ErrFenced) {
				e.term.Warnf("%s", reply.Warning)
			}
		}
		again := errors.Is(err, bus.ErrNobody) || errors.Is(err, plan.ErrNotLeading) || errors.Is(err, plan.ErrFenced)
		if !again || attempt == attempts {
			return reply, err
		}
		if err := e.clock.Sleep(ctx, between); err != nil {
			return reply, err
		}
	}
}

// journal reads what is written of executions.
func (e *env) journal(q *queue) (*plan.Executor, error) {
	store, err := q.Store(messages.BucketLeases)
	if err != nil {
		return nil, err
	}
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	return plan.NewExecutor(plan.Options{Journal: plan.FromBus(store), Registry: plan.Standard(), Node: cfg.Node.Name, Clock: e.clock})
}

// withJournal runs fn with the queue and the journal.
func (e *env) withJournal(ctx context.Context, fn func(*queue, *plan.Executor) error) error {
	return e.withQueue(ctx, func(q *queue) error {
		x, err := e.journal(q)
		if err != nil {
			return err
		}
		return fn(q, x)
	})
}

// seenDigest is that of the plan that whoever orders it means: the one they name, or of
// the plan as this machine has it, "" when it has none. Plan files of this machine that
// are broken must not keep anybody from ordering what others have.
func (e *env) seenDigest(name, given string) string {
	if given != "" {
		return given
	}
	plans, _, err := e.plans()
	if err != nil {
		e.term.Warnf("the plan files of this machine cannot be read, so the plan is not compared with the leading coordinator's: %v", err)
		return ""
	}
	if p, ok := plans[name]; ok {
		return p.Digest()
	}
	return ""
}

// plans are those that can be executed, with what they may use.
func (e *env) plans() (plan.Plans, *plan.Registry, error) {
	registry := plan.Standard()
	cfg, err := e.config()
	if err != nil {
		return nil, nil, err
	}
	plans, err := plan.All(registry, cfg.Failover.Plans)
	return plans, registry, err
}
