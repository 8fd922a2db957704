package coordinator

import (
	"fmt"
	"time"

	"mahavishnu/coordinator/detect"
	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
)

// node is one node as its heartbeats show it.
type node struct {
	opinion
	detector *detect.Detector
	every    time.Duration // between its heartbeats
	started  time.Time     // by its own clock; tells starts apart
	starts   int
	last     messages.Heartbeat
}

// judge forms the opinion of a node, from its heartbeats alone.
func (n *node) judge(v *view, name string, now time.Time, stretch float64) {
	if name == v.o.Node {
		// Whoever asks itself is there. Its own heartbeats may still be lost, which
		// is for others to say.
		n.set(vote.Up, 0, "", now)
		return
	}
	phi, threshold := n.detector.Suspicion(now, stretch), v.rhythm(n.every).Threshold
	if phi < threshold/2 {
		n.set(vote.Up, phi, "", now)
		return
	}
	state, reason := vote.Suspect, "no heartbeat for "+silence(n.detector.Silence(now))
	if phi >= threshold {
		state = vote.Down
	}
	n.set(state, phi, reason, now)
}

// silent reports whether a node's heartbeats are missed.
func (v *view) silent(name string, now time.Time, stretch float64) bool {
	n, ok := v.nodes[name]
	return !ok || name != v.o.Node && n.detector.Suspicious(now, stretch)
}

// member is one member of a service, as probes and its keeper show it.
type member struct {
	Member
	opinion
	service, kind, target string
	// detector hears successful probes. It counts from the start as if the first had
	// just succeeded: a member that is dead from the start must be missed.
	detector  *detect.Detector
	threshold float64
	problem   string                // of the last probe
	keeper    *messages.MemberState // what its keeper said last
}

func newMember(o *Options, s Service, m Member, now time.Time) *member {
	rhythm := o.rhythm(m.Every, o.Pause)
	w := &member{
		Member: m, service: s.Name, kind: s.Kind, target: m.Target(s.Name),
		detector: detect.New(&rhythm), threshold: rhythm.Threshold,
	}
	w.set(vote.Up, 0, "", now)
	w.detector.Heard(now)
	return w
}

// judge forms the opinion of a member. It is down when no path shows it alive: no
// probe is answered, and its keeper is silent too or finds it dead.
func (m *member) judge(v *view, now time.Time, stretch float64) {
	phi := m.detector.Suspicion(now, stretch)
	testimony, says := m.testimony(v, now, stretch)
	if phi < m.threshold/2 {
		if testimony == unhealthy {
			m.set(vote.Suspect, phi, "it answers, but "+says, now)
		} else {
			m.set(vote.Up, phi, "", now)
		}
		return
	}
	reason := "no probe was answered for " + silence(m.detector.Silence(now))
	if m.problem != "" {
		reason += " (" + m.problem + ")"
	}
	state := vote.Suspect
	switch {
	case testimony == healthy:
		reason += ", but " + says
	case phi >= m.threshold:
		state = vote.Down
	}
	if testimony != healthy && says != "" {
		reason += ", and " + says
	}
	m.set(state, phi, reason, now)
}

// testimony is what a keeper beside a member says of it.
type testimony int

const (
	none testimony = iota // there is no keeper, or it was never heard
	silent
	healthy
	unhealthy
)

// testimony asks the keeper. What it said last counts while its node's heartbeats,
// which carry it, are not missed.
func (m *member) testimony(v *view, now time.Time, stretch float64) (testimony, string) {
	switch {
	case m.Node == "" || m.keeper == nil:
		return none, ""
	case v.silent(m.Node, now, stretch):
		return silent, fmt.Sprintf("node %s is silent", m.Node)
	case m.keeper.Healthy:
		return healthy, "its keeper finds it healthy"
	case m.keeper.Detail != "":
		return unhealthy, "its keeper says: " + m.keeper.Detail
	}
	return unhealthy, "its keeper finds it dead"
}
