package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/messages"
	"mahavishnu/terminal"
)

// passed renders milliseconds that have passed; below zero is never.
func passed(ms int64) string {
	switch {
	case ms < 0:
		return "never"
	case ms < 10_000:
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return terminal.Duration(time.Duration(ms) * time.Millisecond)
}

func (r failoverReport) print(e *env) {
	switch best, ok := r.best(); {
	case !ok:
		e.term.Printf("%s", e.term.Mark(terminal.Bad, "no coordinator answers"))
	case r.Leader == "":
		e.term.Printf("%s", e.term.Mark(terminal.Bad, "nobody leads"))
	default:
		text := fmt.Sprintf("%s leads for %s, epoch %d", r.Leader, passed(best.LeadingMillis), r.Epoch)
		if best.Reacting != "" {
			text += ": " + best.Reacting
		}
		e.term.Printf("%s", e.term.Mark(terminal.Good, text))
	}
	for _, trouble := range r.Troubles {
		e.term.Printf("  %s", trouble)
	}
	r.printRegions(e)
	if best, ok := r.best(); ok {
		r.printVoters(e)
		r.printServices(e, best)
		r.printNodes(e, best)
	}
	// They are in the queue, whoever is there, as regions are.
	r.printExecutions(e)
	r.printLeases(e)
}

func (r failoverReport) printLeases(e *env) {
	if len(r.Leases) == 0 {
		return
	}
	table := terminal.NewTable("lease", "holder", "epoch>")
	for _, l := range r.Leases {
		table.Row(l.Lease, l.who(), fmt.Sprint(l.Epoch))
	}
	e.term.Printf("\n%s", table)
}

// coordinators asks the coordinators among the nodes that were heard; nil when there
// are none.
func (e *env) coordinators(ctx context.Context, v *view, nodes []messages.Heartbeat) (*failoverReport, error) {
	expected := 0
	for _, n := range nodes {
		if slices.Contains(n.Roles, "coordinator") {
			expected++
		}
	}
	cfg, err := e.config()
	if err != nil || expected == 0 && len(cfg.Failover.Coordinators) == 0 {
		return nil, err
	}
	r, err := v.failover(ctx, cfg, max(expected, 1), e.clock.Now())
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// printFailover is one line about it, and one for each trouble.
func (q *queueStatus) printFailover(e *env) {
	r := q.Failover
	if r == nil {
		return
	}
	best, _ := r.best()
	services, members := len(best.Services), 0
	for _, s := range best.Services {
		members += len(s.Members)
	}
	switch {
	case len(r.Troubles) > 0:
		e.term.Printf("failover: %s; see: mahavishnu failover status", e.term.Mark(terminal.Bad, "in trouble"))
		for _, trouble := range r.Troubles {
			e.term.Printf("  %s", trouble)
		}
	case services > 0:
		e.term.Printf("failover: %s leads; %s with %s, all up", r.Leader, terminal.Plural(services, "service"), terminal.Plural(members, "member"))
	default:
		e.term.Printf("failover: %s leads; no service is watched", r.Leader)
	}
}

// printVoters shows who hears whom: a row is one coordinator's view.
func (r failoverReport) printVoters(e *env) {
	columns := []string{"coordinator", "region", "majority", "self-doubt>"}
	for _, v := range r.Coordinators[0].Quorum.Voters {
		columns = append(columns, v.Node)
	}
	table := terminal.NewTable(columns...)
	for _, s := range r.Coordinators {
		majority := fmt.Sprintf("yes, %s", passed(s.Quorum.SinceMillis))
		if !s.Quorum.Have {
			majority = fmt.Sprintf("NO, %s", passed(s.Quorum.SinceMillis))
		}
		row := []string{s.Node, s.Region, majority, fmt.Sprintf("%.0fx", s.Stretch)}
		for _, v := range s.Quorum.Voters {
			row = append(row, sees(v))
		}
		table.Row(row...)
	}
	e.term.Printf("\n%s", table)
}

// sees is one word for how one coordinator sees another.
func sees(v messages.VoterStatus) string {
	switch {
	case v.Self:
		return "itself"
	case v.HearsUs:
		return "both ways"
	case v.Heard:
		return "ONE WAY"
	case v.LastMillis < 0:
		return "NEVER"
	}
	return "NOT for " + passed(v.LastMillis)
}

// printServices shows every member: the verdict, and what each coordinator holds.
func (r failoverReport) printServices(e *env, best messages.CoordinatorStatus) {
	if len(best.Services) == 0 {
		return
	}
	table := terminal.NewTable("service", "member", "node", "region", "verdict", "since>", "role", "writes", "lag>", "seen")
	for _, s := range best.Services {
		for _, m := range s.Members {
			role, writes, lag := "", "", ""
			if k := m.Keeper; k != nil {
				role = roleOf(k)
				if k.Writable {
					writes = "yes"
				}
				if k.Role == "standby" && k.LagBytes >= 0 {
					lag = terminal.Bytes(k.LagBytes)
				}
				if m.KeeperSilentMillis > 0 { // nobody knows what it is by now
					role, writes, lag = "was "+role+"; keeper silent for "+passed(m.KeeperSilentMillis), "unknown", ""
					if r.without(s.Service, m.Member) {
						writes = ""
					}
				}
			}
			table.Row(s.Service, m.Member, m.Node, m.Region, m.Verdict, passed(m.VerdictMillis), role, writes, lag, r.seen(s.Service, m.Member))
		}
	}
	e.term.Printf("\n%s", table)
}

// roleOf is what a member is, in a word: one that must be stopped and is not yet is not to
// be taken for one that was.
func roleOf(k *messages.MemberState) string {
	if k.State == string(keeper.Fencing) {
		return k.State
	}
	return k.Role
}

// seen is what each coordinator holds of a member.
func (r failoverReport) seen(service, member string) string {
	var all []string
	for _, c := range r.Coordinators {
		for _, s := range c.Services {
			for _, m := range s.Members {
				if s.Service == service && m.Member == member {
					all = append(all, c.Node+" "+m.State)
				}
			}
		}
	}
	return strings.Join(all, ", ")
}

// printNodes counts the nodes and shows those that are not well.
func (r failoverReport) printNodes(e *env, best messages.CoordinatorStatus) {
	table := terminal.NewTable("node", "region", "roles", "verdict", "since>", "silent for>", "why")
	for _, n := range best.Nodes {
		why := n.Why
		switch {
		case n.Twin != "":
			why = n.Twin
		case n.Island:
			why = "its region is cut off from the queue and goes on with its own"
		case n.Verdict == "up" && n.State == "up":
			continue
		}
		table.Row(n.Node, n.Region, strings.Join(n.Roles, ", "), n.Verdict, passed(n.VerdictMillis), passed(n.SilentMillis), why)
	}
	e.term.Printf("\n%s watched by %s, %s not well", terminal.Plural(len(best.Nodes), "node"), best.Node, terminal.Count(table.Len()))
	if table.Len() > 0 {
		e.term.Printf("%s", table)
	}
}
