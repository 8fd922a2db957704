package coordinator

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"mahavishnu/coordinator/detect"
	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
)

// view is what one coordinator holds of everybody. It is a pure state machine, not
// safe for concurrent use; every method takes the moment.
type view struct {
	o       *Options
	health  *detect.Health
	board   *vote.Board
	rhythms map[time.Duration]*detect.Options
	nodes   map[string]*node
	names   map[string]*names // of nodes whose heartbeats tell their instance
	members []*member
	// unserved is since when nobody is known to take the writes of a service, by service.
	unserved map[string]time.Time

	sequence uint64
	started  time.Time
	epoch    uint64 // of the leadership; 0 when it does not lead
	ticked   time.Time
	doubted  time.Time // when failing probes last made it doubt itself
}

// opinion is what the coordinator itself holds of a target.
type opinion struct {
	state  vote.State
	since  time.Time
	phi    float64
	reason string
}

func (o *opinion) set(state vote.State, phi float64, reason string, now time.Time) {
	if o.state != state {
		o.state, o.since = state, now
	}
	o.phi, o.reason = phi, reason
}

func newView(o *Options, now time.Time) (*view, error) {
	board, err := vote.New(vote.Options{
		Self: o.Node, Voters: o.Voters, Window: 6 * o.Heartbeat, Confirm: o.Confirm, Recovery: o.Recovery,
	})
	if err != nil {
		return nil, err
	}
	v := &view{
		o: o, board: board, health: detect.NewHealth(o.Heartbeat, 0), started: now,
		rhythms: map[time.Duration]*detect.Options{}, nodes: map[string]*node{}, names: map[string]*names{},
		unserved: map[string]time.Time{},
	}
	if o.Instance != "" {
		own := newNames()
		own.word(messages.Heartbeat{Instance: o.Instance, Started: o.Started, Region: o.Region}, now)
		v.names[o.Node] = own
	}
	for _, s := range o.Services {
		for _, m := range s.Members {
			v.members = append(v.members, newMember(o, s, m, now))
		}
	}
	return v, nil
}

// heard is what a heartbeat tells. It reports whether a keeper says something else than
// before of who serves.
func (v *view) heard(h messages.Heartbeat, now time.Time) (turned bool) {
	if h.Node == "" {
		return false
	}
	fresh := v.named(h, now)
	if h.Leaving {
		if n := v.names[h.Node]; n == nil || len(n.heard) == 0 {
			delete(v.nodes, h.Node)
		}
		return false
	}
	every := time.Duration(h.IntervalMillis) * time.Millisecond
	if every <= 0 {
		every = v.o.Heartbeat
	}
	n, known := v.nodes[h.Node]
	switch {
	case !known:
		n = &node{detector: detect.New(v.rhythm(every)), every: every, started: h.Started, starts: 1}
		n.set(vote.Up, 0, "", now)
		v.nodes[h.Node] = n
		n.detector.Heard(now)
	case n.every != every || !n.started.Equal(h.Started):
		if n.every != every {
			n.detector, n.every = detect.New(v.rhythm(every)), every
		}
		if !n.started.Equal(h.Started) {
			n.started = h.Started
			if fresh {
				n.starts++ // twins take turns, and neither starts anew
			}
		}
		n.detector.Restarted(now)
	default:
		n.detector.Heard(now)
	}
	n.last = h
	for i := range h.Members {
		turned = v.testify(h.Node, &h.Members[i]) || turned
	}
	return turned
}

// named notes whose heartbeat it is of those that have the node's name, and reports
// whether it is the first of its process.
func (v *view) named(h messages.Heartbeat, now time.Time) (first bool) {
	if h.Instance == "" {
		return true // it tells no instance: each new start is one
	}
	n := v.names[h.Node]
	switch {
	case h.Leaving && n != nil:
		delete(n.heard, h.Instance)
		return false
	case h.Leaving:
		return false
	case n == nil:
		n = newNames()
		v.names[h.Node] = n
	}
	return n.word(h, now)
}

// rhythm is shared by all nodes that mean to be heard in the same interval.
func (v *view) rhythm(every time.Duration) *detect.Options {
	r, ok := v.rhythms[every]
	if !ok {
		made := v.o.rhythm(every, v.o.Pause)
		r = &made
		v.rhythms[every] = r
	}
	return r
}

// testify notes what a keeper says of its member, if it is the one who should know, and
// reports whether it is something else than before.
func (v *view) testify(from string, state *messages.MemberState) (turned bool) {
	for _, m := range v.members {
		if m.service == state.Service && m.Name == state.Member && m.Node == from {
			was := m.keeper
			turned = was == nil || was.Role != state.Role || was.Holds != state.Holds || was.Writable != state.Writable
			m.keeper = state
		}
	}
	return turned
}

// reported is what another coordinator says; the verdicts it changes are returned.
func (v *view) reported(r messages.OpinionReport, now time.Time) []vote.Verdict {
	if r.Node == v.o.Node {
		return nil
	}
	heard := vote.Report{Voter: r.Node, At: now, Hears: r.Hears, Opinions: make([]vote.Opinion, 0, len(r.Opinions))}
	for _, o := range r.Opinions {
		state := vote.State(o.State)
		switch state {
		case vote.Up, vote.Suspect, vote.Down:
		case vote.Unknown:
			continue
		default:
			continue // a state of another version says nothing to this one
		}
		heard.Opinions = append(heard.Opinions, vote.Opinion{
			Target: o.Target, State: state, Since: now.Add(-ms(o.SinceMillis)), Phi: o.Phi, Reason: o.Reason,
		})
	}
	if !v.board.Hear(heard) {
		return nil
	}
	return v.board.Judge(now)
}

// probed is how a look at a member went.
func (v *view) probed(m *member, err error, now time.Time) {
	m.problem = ""
	if err == nil {
		m.detector.Heard(now)
		return
	}
	m.problem = err.Error()
}

// reconnected says that the line to everybody was away: what was not heard
// meanwhile counts for nothing.
func (v *view) reconnected(now time.Time) {
	v.health.Suffer(now, detect.Flapping)
	for _, n := range v.nodes {
		n.detector.Resume(now)
	}
}

// look is one tick: it forms an opinion of everybody, and hears itself. It returns
// what to tell the others, and the verdicts that changed.
func (v *view) look(now time.Time) (messages.OpinionReport, []vote.Verdict) {
	if missed := v.health.Tick(now); missed > 0 {
		for _, n := range v.nodes {
			n.detector.Forgive(missed, now)
		}
		for _, m := range v.members {
			m.detector.Forgive(missed, now)
		}
	}
	v.ticked = now
	v.doubtSelf(now)
	stretch := v.health.Stretch()

	own := vote.Report{Voter: v.o.Node, At: now, Hears: v.board.Hears(now)}
	add := func(target string, o *opinion) {
		if o.state != vote.Up {
			own.Opinions = append(own.Opinions, vote.Opinion{Target: target, State: o.state, Since: o.since, Phi: o.phi, Reason: o.reason})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.nodes)) {
		n := v.nodes[name]
		n.judge(v, name, now, stretch)
		if n.state == vote.Down && now.Sub(n.since) > v.o.Forget {
			delete(v.nodes, name)
			continue
		}
		add(NodeTarget(name), &n.opinion)
	}
	for _, m := range v.members {
		m.judge(v, now, stretch)
		add(m.target, &m.opinion)
	}
	v.watchServed(now, stretch)
	v.board.Hear(own)
	v.sequence++
	report := messages.OpinionReport{
		Node: v.o.Node, Region: v.o.Region, Sequence: v.sequence, Started: v.started,
		IntervalMillis: v.o.Heartbeat.Milliseconds(), Stretch: stretch, Epoch: v.epoch, Hears: own.Hears,
	}
	for _, o := range own.Opinions {
		report.Opinions = append(report.Opinions, messages.Opinion{
			Target: o.Target, State: string(o.State), SinceMillis: now.Sub(o.Since).Milliseconds(), Phi: round2(o.Phi), Reason: o.Reason,
		})
	}
	return report, v.board.Judge(now)
}

// doubtSelf lowers trust in its own eyes when most of its probes fail, of members
// beside different nodes.
func (v *view) doubtSelf(now time.Time) {
	where := map[string]bool{}
	failing := 0
	for _, m := range v.members {
		where[m.Node+" "+m.Region] = true
		if m.problem != "" {
			failing++
		}
	}
	if len(where) >= 2 && failing >= 2 && 2*failing > len(v.members) && now.Sub(v.doubted) >= 4*v.o.Heartbeat {
		v.doubted = now
		v.health.Suffer(now, detect.FailingProbes)
	}
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func round2(x float64) float64 { return math.Round(x*100) / 100 }

// silence tells for how long nothing was heard.
func silence(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// String tells how much is watched.
func (v *view) String() string {
	return fmt.Sprintf("%d nodes and %d members", len(v.nodes), len(v.members))
}
