package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/coordinator/plan"
	"mahavishnu/terminal"
)

type failoverPlanOptions struct {
	runbook bool
	set     map[string]string
}

func newFailoverPlanCommand(e *env) *cobra.Command {
	var o failoverPlanOptions
	cmd := &cobra.Command{
		Use:   "plan [NAME]",
		Short: "List the failover plans, or show one, or print its runbook",
		Long: `List the plans with what their last evaluation found: every half hour the leading
coordinator asks of every step whether it could be carried out now, without changing
anything. With a name, show that plan's steps; with --runbook, print what people do,
as Markdown, to keep where it can be read when nothing works.`,
		Example: `  mahavishnu failover plan
  mahavishnu failover plan region_failure
  mahavishnu failover plan region_failure --runbook --set from=us-east-1 --set to=eu-west-1 > region.md`,
		Args: takes(0, 1, "the plan's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if o.runbook {
					return usagef(cmd.CommandPath(), "--runbook wants a plan's name")
				}
				return runFailoverPlans(cmd.Context(), e)
			}
			return runFailoverPlan(cmd.Context(), e, args[0], o)
		},
	}
	cmd.Flags().BoolVar(&o.runbook, "runbook", false, "print the plan for people, as Markdown")
	cmd.Flags().StringToStringVar(&o.set, "set", nil, "a parameter as `NAME=VALUE`, to stand in the runbook; may be repeated")
	return exits(cmd)
}

// planInfo is the JSON of one plan.
type planInfo struct {
	*plan.Plan
	// File is empty for a shipped plan.
	File string `json:"file,omitempty"`
	// Digest names exactly this definition; see failover execute.
	Digest string `json:"digest"`
	// Evaluations are the last ones; none when the queue cannot be reached.
	Evaluations plan.Evaluations `json:"evaluations"`
}

// verdict says in a few words what the last evaluation found.
func (p planInfo) verdict(e *env) string {
	if len(p.Evaluations) == 0 {
		return "not yet"
	}
	broken, behind, later := p.Evaluations.Readiness()
	switch {
	case len(broken) > 0:
		return "BROKEN: " + strings.Join(broken, "; ")
	case !slices.ContainsFunc(p.Evaluations, func(v plan.Evaluation) bool { return v.Later == "" }):
		return strings.Join(later, "; ")
	}
	text := "ready, " + terminal.Ago(p.Evaluations[0].At, e.clock.Now())
	if all := append(behind, later...); len(all) > 0 {
		text += "; but " + strings.Join(all, "; ")
	}
	return text
}

// evaluated adds the last evaluations, as far as they can be had.
func (e *env) evaluated(ctx context.Context, infos []planInfo) {
	err := e.withJournal(ctx, func(_ *queue, x *plan.Executor) error {
		for i := range infos {
			all, err := x.Evaluations(ctx, infos[i].Name)
			if err != nil {
				return err
			}
			infos[i].Evaluations = append(infos[i].Evaluations, all...)
		}
		return nil
	})
	if err != nil {
		e.term.Warnf("what the last evaluations found is not known: %v", err)
	}
}

func runFailoverPlans(ctx context.Context, e *env) error {
	plans, _, err := e.plans()
	if err != nil {
		return err
	}
	infos := make([]planInfo, 0, len(plans))
	for _, name := range sortedKeys(plans) {
		infos = append(infos, planInfo{Plan: plans[name], File: plans[name].File, Digest: plans[name].Digest(), Evaluations: []plan.Evaluation{}})
	}
	e.evaluated(ctx, infos)
	e.term.Document(struct {
		Plans []planInfo `json:"plans"`
	}{infos})
	table := terminal.NewTable("plan", "starts", "steps>", "from", "evaluated")
	for _, p := range infos {
		starts, from := "by hand", "shipped"
		if p.Start == plan.Automatic {
			starts = "by itself"
		}
		if p.File != "" {
			from = p.File
		}
		table.Row(p.Name, starts, terminal.Count(len(p.In(p.Variant()))), from, terminal.Cut(p.verdict(e), 80))
	}
	e.term.Printf("%s", table)
	return nil
}

func runFailoverPlan(ctx context.Context, e *env, name string, o failoverPlanOptions) error {
	plans, registry, err := e.plans()
	if err != nil {
		return err
	}
	p, err := plans.Get(name)
	if err != nil {
		return err
	}
	if o.runbook {
		for name, value := range o.set {
			if _, ok := p.Parameters[name]; !ok {
				return usagef("mahavishnu failover plan", "plan %s has no parameter %q", p.Name, name)
			}
			if err := p.Parameters[name].Type.Check(value); err != nil {
				return usagef("mahavishnu failover plan", "parameter %s: %v", name, err)
			}
		}
		text := plan.Runbook(p, registry, o.set)
		e.term.Document(struct {
			Plan    string `json:"plan"`
			Runbook string `json:"runbook"`
		}{p.Name, text})
		e.term.Printf("%s", strings.TrimSuffix(text, "\n"))
		return nil
	}
	infos := []planInfo{{Plan: p, File: p.File, Digest: p.Digest(), Evaluations: []plan.Evaluation{}}}
	e.evaluated(ctx, infos)
	e.term.Document(infos[0])
	e.term.Printf("%s, digest %s\n\n%s", p.Name, plan.ShortDigest(p.Digest()), strings.TrimSpace(p.About))
	for _, parameter := range sortedKeys(p.Parameters) {
		e.term.Printf("  --set %s=%s: %s", parameter, strings.ToUpper(string(p.Parameters[parameter].Type)), p.Parameters[parameter].About)
	}
	table := terminal.NewTable("step", "kind", "uses", "variant", "timeout>", "when it fails", "taken back by")
	for _, s := range p.Steps {
		fails, timeout := string(s.OnFailure), s.Timeout.String()
		if fails == "" {
			fails = string(plan.PolicyStop)
		}
		if s.For > 0 {
			timeout = s.For.String()
		}
		table.Row(s.Name, string(s.Kind), s.Uses, string(s.Only), timeout, fails, s.Undo.Uses)
	}
	e.term.Printf("\n%s", table)
	for _, evaluation := range infos[0].Evaluations {
		e.printEvaluation(&evaluation)
	}
	e.term.Sayf("the runbook, for people: mahavishnu failover plan %s --runbook", p.Name)
	return nil
}

// printEvaluation shows what was found about each step.
func (e *env) printEvaluation(v *plan.Evaluation) {
	var params []string
	for _, name := range sortedKeys(v.Params) {
		params = append(params, name+"="+v.Params[name])
	}
	broken := "it could be carried out now"
	switch {
	case v.Broken() != "":
		broken = e.term.Mark(terminal.Bad, "it could not be carried out now")
	case v.Later != "":
		broken = "it cannot be carried out yet"
	case v.Unmet() != "":
		broken = e.term.Mark(terminal.Doubt, "every step could be carried out, and now it would end at "+v.Unmet())
	}
	e.term.Printf("\n%s %s (%s), looked at %s by %s: %s", v.Plan, strings.Join(params, " "), v.Variant, terminal.Ago(v.At, e.clock.Now()), v.Node, broken)
	if v.Definition != "" {
		e.term.Printf("  the plan's digest is %s", plan.ShortDigest(v.Definition))
	}
	if why := cmp.Or(v.Error, v.Later); why != "" {
		e.term.Printf("  %s", why)
	}
	if v.Refused != "" {
		e.term.Printf("  %s", v.Refused)
	}
	table := terminal.NewTable("step", "kind", "uses", "found")
	for _, f := range v.Findings {
		found := f.Seen
		if wrong := cmp.Or(f.Error, f.Unmet); wrong != "" {
			found = wrong
		}
		if f.UndoError != "" {
			found = strings.TrimSpace(found + " taking it back: " + f.UndoError)
		}
		table.Row(f.Step, string(f.Kind), f.Uses, terminal.Cut(fmt.Sprint(found), 100))
	}
	e.term.Printf("%s", table)
}
