package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
)

type failoverConfirmOptions struct {
	reason string
	yes    bool
}

func newFailoverConfirmCommand(e *env) *cobra.Command {
	var o failoverConfirmOptions
	cmd := &cobra.Command{
		Use:   string(plan.AskConfirmStopped) + " SERVICE MEMBER",
		Short: "Say that a member was stopped by hand, so that another may take over",
		Long: `Say that a member of a service was stopped by hand: its process killed, or its machine
switched off. This is for a member that its keeper could not stop, which failover status
shows as fencing: it may still take writes, so its keeper keeps the lease of the service,
and nobody takes over. Once it is said, the keeper counts the member as stopped and
gives the lease back, and the failover goes on. Should the member answer again, it is
ordered to take no writes before anything else.

Nobody can check this. When the member still runs, two members take writes, and what one
of them is given is lost: so nothing is changed before --yes says that it is meant. It is
refused for a member that its keeper can stop.`,
		Example: `  mahavishnu failover confirm-stopped web a --reason switched-off --yes`,
		Args:    takes(2, 2, "the service and its member"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runFailoverConfirm(cmd.Context(), e, args[0], args[1], o)
		},
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "what was done to stop it, for those who look later (`TEXT`; required)")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "it is certain that the member does not run")
	return exits(cmd)
}

func runFailoverConfirm(ctx context.Context, e *env, service, member string, o failoverConfirmOptions) error {
	name := service + "/" + member
	switch {
	case o.reason == "":
		return fault.New("count as stopped", name, errors.New("it is not said what was done to stop it"), "--reason TEXT")
	case !o.yes:
		return fault.New("count as stopped", name, errors.New("when it still runs, two members take writes"),
			"when it is certain that it does not, the same with --yes")
	}
	return e.withJournal(ctx, func(q *queue, _ *plan.Executor) error {
		reply, err := e.askLeader(ctx, q, plan.Request{Ask: plan.AskConfirmStopped, Service: service, Member: member, By: whoami(), Reason: o.reason})
		if err != nil {
			return err
		}
		e.term.Document(reply)
		e.term.Printf("%s", reply.Done)
		return nil
	})
}
