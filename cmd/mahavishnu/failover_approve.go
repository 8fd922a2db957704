package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/terminal"
)

type failoverApproveOptions struct {
	keyFile string
	valid   time.Duration
}

func newFailoverApproveCommand(e *env) *cobra.Command {
	var o failoverApproveOptions
	cmd := &cobra.Command{
		Use:   "approve EXECUTION",
		Short: "Approve what a plan waits for, with your key",
		Long: `Sign what an execution waits for with your private key, and send it to the leading
coordinator. The approval is good once, for a few minutes, for exactly this plan,
these parameters and this execution. When another coordinator takes over before it
arrives, it is refused, and you are asked again.

Your public key stands in the configuration under failover.approvers; make a key with
"failover approver create".`,
		Example: `  mahavishnu failover journal
  mahavishnu failover approve region_failure-20260301T021500-x7kaqd --key-file ~/approver.key`,
		Args: takes(1, 1, "the execution's id, or a part of it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.keyFile == "" {
				return usagef(cmd.CommandPath(), "--key-file is missing: the file with your private key")
			}
			if o.valid < time.Second || o.valid > plan.MaxApproval {
				return usagef(cmd.CommandPath(), "--valid %v: from 1s to %v", o.valid, plan.MaxApproval)
			}
			return runFailoverApprove(cmd.Context(), e, args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.keyFile, "key-file", "", "`FILE` with your private key")
	cmd.Flags().DurationVar(&o.valid, "valid", 5*time.Minute, "how long the approval may take to arrive (`TIME`, at most 10m)")
	return exits(cmd)
}

// approverOf names whom a key belongs to in the configuration.
func approverOf(cfg *config.Config, key plan.PrivateKey) (string, error) {
	for _, name := range sortedKeys(cfg.Failover.Approvers) {
		if cfg.Failover.Approvers[name].PublicKey == key.Public().String() {
			return name, nil
		}
	}
	return "", fault.New("approve", "", errors.New("this key belongs to none of the approvers of the configuration"),
		fmt.Sprintf("somebody who may change the configuration adds under failover.approvers: NAME: {public_key: %q}", key.Public()))
}

func runFailoverApprove(ctx context.Context, e *env, id string, o failoverApproveOptions) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	key, err := plan.ReadKey(o.keyFile)
	if err != nil {
		return err
	}
	name, err := approverOf(cfg, key)
	if err != nil {
		return err
	}
	return e.withJournal(ctx, func(q *queue, x *plan.Executor) error {
		found, err := x.Find(ctx, id)
		if err != nil {
			return err
		}
		question, asks := found.Question()
		if !asks {
			return fault.New("approve", found.ID, fmt.Errorf("it is %s and waits for no approval", found.State), "mahavishnu failover journal "+found.ID)
		}
		e.sayWhatIsApproved(&found)
		approval, err := plan.Sign(question, name, key, e.clock.Now(), o.valid)
		if err != nil {
			return err
		}
		reply, err := e.askLeader(ctx, q, plan.Request{Ask: plan.AskApprove, Execution: found.ID, Approval: &approval, By: name})
		if err != nil {
			return err
		}
		e.term.Document(reply.Execution)
		e.term.Printf("approved as %s; follow it: mahavishnu failover journal %s --follow", name, found.ID)
		return nil
	})
}

// sayWhatIsApproved shows what follows from an approval.
func (e *env) sayWhatIsApproved(x *plan.Execution) {
	e.term.Sayf("%s, %s, ordered by %s %s", x.Plan.Name, x.Variant, x.By, terminal.Ago(x.Created, e.clock.Now()))
	if x.Reason != "" {
		e.term.Sayf("reason: %s", x.Reason)
	}
	for _, name := range sortedKeys(x.Params) {
		e.term.Sayf("  %s=%s", name, x.Params[name])
	}
	var next []string
	after := false
	for _, s := range x.Steps() {
		if after && s.Kind == plan.KindAction {
			next = append(next, s.Name)
		}
		after = after || s.Kind == plan.KindApprove
	}
	e.term.Sayf("what follows: %s", strings.Join(next, ", "))
}
