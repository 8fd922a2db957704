package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/coordinator/keeper"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// coordinatorPatience is how long coordinators have to answer; a living one needs
// a round trip.
const coordinatorPatience = time.Second

type failoverStatusOptions struct {
	check bool
}

func newFailoverStatusCommand(e *env) *cobra.Command {
	var o failoverStatusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show who sees whom, what is down and why, and who may write",
		Long: `Asks every coordinator whom it sees, and shows what they agree on: who leads, which
coordinators hear each other, the state of every member of every service with the
reason, who holds the leases, and the nodes that are not well.

A verdict is what a majority of regions says. A coordinator that reaches no majority
has none: it shows "unknown" and decides nothing.

In a region that is cut off from the queue the coordinators that can be reached are
asked all the same; who holds leases and what became of plans cannot be read there, and
the exit code is 7.`,
		Example: "  mahavishnu failover status\n  mahavishnu failover status --check\n  mahavishnu failover status --json",
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runFailoverStatus(cmd.Context(), e, o) },
	}
	cmd.Flags().BoolVar(&o.check, "check", false, "for monitoring: end with 1 when nobody leads, a coordinator is missing or in the minority, nobody takes the writes of a service, or one of its members is not up")
	return exits(cmd, exitCutOff)
}

// failoverReport is the JSON of failover status.
type failoverReport struct {
	// CutOff is set in a region that is cut off from the queue: leases, regions and
	// executions are not known then.
	CutOff *cutOff `json:"cut_off,omitempty"`
	// Leader is the coordinator that leads, "" when none of those that answered does.
	Leader string `json:"leader"`
	Epoch  uint64 `json:"epoch,omitempty"`
	// Coordinators are the answers, by node.
	Coordinators []messages.CoordinatorStatus `json:"coordinators"`
	// Silent are the coordinators that vote and did not answer.
	Silent []string      `json:"silent"`
	Leases []leaseStatus `json:"leases"`
	// Regions are those about which plans changed something that was not taken back yet.
	Regions []messages.RegionRecord `json:"regions,omitempty"`
	// Executions are those that have not ended, and those of the last day, newest first.
	Executions []recentExecution `json:"executions"`
	// Unserved are the services whose writes nobody takes.
	Unserved []unservedService `json:"unserved,omitempty"`
	// Troubles are sentences: what --check complains of.
	Troubles []string `json:"troubles"`
}

func runFailoverStatus(ctx context.Context, e *env, o failoverStatusOptions) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	var r failoverReport
	err = e.withView(ctx, func(v *view) error {
		r, err = v.failover(ctx, cfg, len(cfg.Failover.Coordinators), e.clock.Now())
		return err
	})
	if err != nil {
		return err
	}
	e.term.Document(r)
	if !e.term.JSON {
		r.print(e)
	}
	if err := r.CutOff.err(); err != nil {
		return err
	}
	if o.check && len(r.Troubles) > 0 {
		return reported{errors.New("failover is in trouble")}
	}
	return nil
}

// failover is lookAtFailover for what can be seen from here.
func (v *view) failover(ctx context.Context, cfg *config.Config, expected int, now time.Time) (failoverReport, error) {
	switch {
	case v.cut == nil:
		return lookAtFailover(ctx, v.conn, v.Bus, cfg, expected, now)
	case v.heard != nil:
		r, err := lookAtFailover(ctx, v.heard, nil, cfg, expected, now)
		r.cutOff(v.cut)
		return r, err
	}
	// Coordinators do not listen to the region's own queue.
	r := newFailoverReport()
	for _, c := range cfg.Failover.Coordinators {
		r.Silent = append(r.Silent, c.Node)
	}
	r.complain()
	r.cutOff(v.cut)
	return r, nil
}

// cutOff puts first what explains all the rest.
func (r *failoverReport) cutOff(c *cutOff) {
	r.CutOff, r.Troubles = c, slices.Insert(r.Troubles, 0, c.String())
}

func newFailoverReport() failoverReport {
	return failoverReport{Coordinators: []messages.CoordinatorStatus{}, Silent: []string{}, Leases: []leaseStatus{}, Executions: []recentExecution{}, Troubles: []string{}}
}

// lookAtFailover asks every coordinator, of which so many are expected (0: it is not
// known), and reads who holds the leases and what became of plans, unless b is nil:
// without the majority nobody knows.
func lookAtFailover(ctx context.Context, conn *bus.Conn, b *bus.Bus, cfg *config.Config, expected int, now time.Time) (failoverReport, error) {
	r := newFailoverReport()
	replies, err := conn.AskCoordinators(ctx, messages.ControlRequest{Verb: messages.VerbStatus}, expected, coordinatorPatience)
	if err != nil {
		return r, err
	}
	for _, reply := range replies {
		if s, err := messages.DecodeCoordinatorStatus(reply.Data); err == nil && reply.OK {
			r.Coordinators = append(r.Coordinators, s)
		}
	}
	slices.SortFunc(r.Coordinators, func(a, b messages.CoordinatorStatus) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.Node, b.Node))
	})
	for _, s := range r.Coordinators {
		// Two may say that they lead while one of them learns that it does not: the
		// higher epoch is right.
		if s.Epoch > r.Epoch {
			r.Leader, r.Epoch = s.Node, s.Epoch
		}
	}
	for _, v := range cfg.Failover.Coordinators {
		if !slices.ContainsFunc(r.Coordinators, func(s messages.CoordinatorStatus) bool { return s.Node == v.Node }) {
			r.Silent = append(r.Silent, v.Node)
		}
	}
	if b != nil {
		err = r.readStored(ctx, b, cfg, now)
	}
	if err == nil {
		err = r.findUnserved(ctx, b, cfg)
	}
	r.complain()
	return r, err
}

// readStored reads what the queue keeps of failovers.
func (r *failoverReport) readStored(ctx context.Context, b *bus.Bus, cfg *config.Config, now time.Time) (err error) {
	if err := r.readLeases(ctx, b, cfg, app.LeaseTiming(cfg.Failover.Lease)); err != nil {
		return err
	}
	if r.Regions, err = readRegions(ctx, b, cfg); err != nil {
		return err
	}
	return r.readExecutions(ctx, b, cfg, now)
}

// best is the status to believe: the leader's, or else one with a majority.
func (r *failoverReport) best() (s messages.CoordinatorStatus, ok bool) {
	for _, fits := range []func(messages.CoordinatorStatus) bool{
		func(s messages.CoordinatorStatus) bool { return r.Leader != "" && s.Node == r.Leader },
		func(s messages.CoordinatorStatus) bool { return s.Quorum.Have },
		func(messages.CoordinatorStatus) bool { return true },
	} {
		if i := slices.IndexFunc(r.Coordinators, fits); i >= 0 {
			return r.Coordinators[i], true
		}
	}
	return s, false
}

// complain says what is wrong.
func (r *failoverReport) complain() {
	add := func(text string) { r.Troubles = append(r.Troubles, text) }
	if len(r.Coordinators) == 0 {
		add("no coordinator answers: none runs, or this side is cut off from them; they are started with: mahavishnu coordinator")
		return
	}
	if r.Leader == "" {
		add("no coordinator leads, so nothing fails over")
	}
	for _, name := range r.Silent {
		add("coordinator " + name + " does not answer")
	}
	for _, s := range r.Coordinators {
		if !s.Quorum.Have {
			add("coordinator " + s.Node + ": " + s.Quorum.Why)
		}
		if s.Stretch > 1 {
			add("coordinator " + s.Node + " distrusts itself: " + s.Ailments)
		}
		for _, trouble := range s.Troubles {
			add("coordinator " + s.Node + ": " + trouble)
		}
	}
	for _, x := range r.Executions {
		if x.Wants != "" {
			add(x.Execution + " " + x.Wants)
		}
	}
	for _, u := range r.Unserved {
		add(u.String())
	}
	best, _ := r.best()
	for _, service := range best.Services {
		for _, m := range service.Members {
			for _, text := range r.memberTroubles(service.Service, m) {
				add(service.Service + "/" + m.Member + text)
			}
		}
	}
}

// memberTroubles are the ends of sentences about what is wrong with a member.
func (r *failoverReport) memberTroubles(service string, m messages.MemberStatus) (all []string) {
	k := m.Keeper
	switch {
	case m.Verdict != "up":
		all = append(all, " is "+m.Verdict+": "+m.Why)
	case m.KeeperSilentMillis > 0 && r.without(service, m.Member):
		all = append(all, " answers, and its keeper is silent for "+passed(m.KeeperSilentMillis)+": it was stopped, for it does not hold the lease; start its keeper: mahavishnu coordinator on node "+m.Node)
	case m.KeeperSilentMillis > 0:
		all = append(all, " answers, and its keeper is silent for "+passed(m.KeeperSilentMillis)+": whether it takes writes is not known")
	}
	if k == nil || m.KeeperSilentMillis > 0 {
		return all
	}
	switch {
	case k.Trouble != "":
		all = append(all, ": "+troubleOf(k))
	case m.Verdict == "up" && k.Role == roleUnknown && settled(k):
		all = append(all, ": it does not tell its role, so nobody can promote it: "+said(k))
	}
	return all
}

// without reports whether it is certain that a member does not hold the lease of its service:
// whoever held it has been stopped before it lapsed, or before another could take it.
func (r *failoverReport) without(service, member string) bool {
	l, ok := r.lease(messages.ServiceLease(service))
	return ok && l.Holder != member
}

// troubleOf is what is the matter with a member, and what a person can do.
func troubleOf(k *messages.MemberState) string {
	if k.Remedy == "" {
		return k.Trouble
	}
	return k.Trouble + "; " + k.Remedy
}

// roleUnknown is a member's role that it does not tell.
const roleUnknown = "unknown"

// settled reports whether a keeper does nothing with its member that changes its role.
func settled(k *messages.MemberState) bool {
	switch keeper.State(k.State) {
	case keeper.Down, keeper.Following, keeper.Waiting, keeper.Leading:
		return true
	}
	return false
}
