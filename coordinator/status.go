package coordinator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mahavishnu/coordinator/detect"
	"mahavishnu/messages"
)

// splitTarget takes a target apart into its kind and the rest.
func splitTarget(target string) (kind, rest string) {
	kind, rest, _ = strings.Cut(target, "/")
	return kind, rest
}

// Status is whom this coordinator sees, since when, and why each verdict stands.
func (c *Coordinator) Status() messages.CoordinatorStatus {
	var troubles []string
	if c.o.Troubles != nil {
		troubles = c.o.Troubles()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.o.Clock.Now()
	s := c.view.status(now)
	s.Troubles = troubles
	if s.Epoch > 0 {
		s.LeadingMillis, s.Reacting = now.Sub(c.led).Milliseconds(), c.reacting
	}
	return s
}

func (v *view) status(now time.Time) messages.CoordinatorStatus {
	s := messages.CoordinatorStatus{
		Node: v.o.Node, Region: v.o.Region, Epoch: v.epoch, Quorum: v.quorum(now),
		Stretch: v.health.Stretch(), Ailments: v.health.Why(now),
		Nodes: []messages.NodeStatus{}, Services: []messages.ServiceStatus{},
	}
	for _, name := range slices.Sorted(maps.Keys(v.nodes)) {
		n := v.nodes[name]
		s.Nodes = append(s.Nodes, messages.NodeStatus{
			Node: name, Region: n.last.Region, Roles: n.last.Roles, Version: n.last.Version, Serves: n.last.Serves, Started: n.started, Starts: n.starts,
			Island: n.last.Island, Twin: v.twin(name, n.every, now),
			Seen: v.seen(NodeTarget(name), &n.opinion, n.detector, now),
		})
	}
	for _, m := range v.members {
		i := slices.IndexFunc(s.Services, func(x messages.ServiceStatus) bool { return x.Service == m.service })
		if i < 0 {
			i = len(s.Services)
			s.Services = append(s.Services, messages.ServiceStatus{Service: m.service, Kind: m.kind, UnservedMillis: v.unservedFor(m.service, now)})
		}
		s.Services[i].Members = append(s.Services[i].Members, messages.MemberStatus{
			Member: m.Name, Node: m.Node, Region: m.Region, Address: m.Address, Probe: m.problem, Keeper: m.keeper,
			KeeperSilentMillis: v.keeperSilent(m, s.Nodes, now),
			Seen:               v.seen(m.target, &m.opinion, m.detector, now),
		})
	}
	return s
}

// keeperSilent is for how long a keeper has not been heard that should have been, in
// milliseconds; 0 is one that has, or never was.
func (v *view) keeperSilent(m *member, nodes []messages.NodeStatus, now time.Time) int64 {
	if said, _ := m.testimony(v, now, v.health.Stretch()); said != silent {
		return 0
	}
	i := slices.IndexFunc(nodes, func(n messages.NodeStatus) bool { return n.Node == m.Node })
	if i < 0 {
		return 1
	}
	return max(nodes[i].SilentMillis, 1)
}

// twin says in a sentence that two processes have a node's name; "" is one alone.
func (v *view) twin(name string, every time.Duration, now time.Time) string {
	if n := v.names[name]; n != nil {
		return n.twin(name, now, every)
	}
	return ""
}

func (v *view) seen(target string, o *opinion, d *detect.Detector, now time.Time) messages.Seen {
	verdict := v.board.Verdict(target, now)
	return messages.Seen{
		State: string(o.state), SinceMillis: now.Sub(o.since).Milliseconds(),
		SilentMillis: d.Silence(now).Milliseconds(), Phi: round2(o.phi), Reason: o.reason,
		Verdict: string(verdict.State), VerdictMillis: now.Sub(verdict.Since).Milliseconds(), Why: verdict.Why(now),
	}
}

func (v *view) quorum(now time.Time) messages.QuorumStatus {
	q := v.board.Quorum(now)
	s := messages.QuorumStatus{
		Have: q.Have, SinceMillis: now.Sub(q.Since).Milliseconds(), Reached: q.Reached, Needed: q.Needed, Why: q.Why(now),
		Voters: []messages.VoterStatus{},
	}
	for _, r := range q.Regions {
		for _, w := range r.Voters {
			last := int64(-1)
			if !w.Last.IsZero() {
				last = now.Sub(w.Last).Milliseconds()
			}
			s.Voters = append(s.Voters, messages.VoterStatus{
				Node: w.Name, Region: r.Region, Self: w.Self, Heard: w.Heard, HearsUs: w.HearsUs, LastMillis: last,
			})
		}
	}
	return s
}

// answer answers requests of people and programs.
func (c *Coordinator) answer(req messages.ControlRequest) messages.ControlReply {
	reply := messages.ControlReply{Node: c.o.Node}
	if req.Verb != messages.VerbStatus {
		reply.Message = fmt.Sprintf("a coordinator answers %q, not %q", messages.VerbStatus, req.Verb)
		return reply
	}
	data, err := json.Marshal(c.Status())
	if err != nil {
		reply.Message = err.Error()
		return reply
	}
	reply.OK, reply.Data = true, data
	return reply
}
