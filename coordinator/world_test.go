package coordinator

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
)

// noise is what goes wrong in a world though nobody is dead.
type noise struct {
	name string
	// loss is the share of messages and probes that never arrive, each line on its own.
	loss float64
	// jitter is added to each message's way, evenly from nothing to this.
	jitter time.Duration
	// pauses is how often each process stands still for want of a processor, on
	// average; pause is for how long, on average, exponentially, at most a second:
	// what stands still for longer than a coordinator waits is down to everybody.
	pauses, pause time.Duration
	// stalls and stall are the same for coordinators, which may stand still for as
	// long as they like without anybody being down for it: at most 20 seconds.
	stalls, stall time.Duration
}

var (
	calm    = noise{name: "calm"}
	lossy   = noise{name: "loss 5 %", loss: 0.05}
	jittery = noise{name: "jitter 200 ms", jitter: 200 * time.Millisecond}
	starved = noise{name: "starved", pauses: 2 * time.Second, pause: 150 * time.Millisecond, stalls: 30 * time.Second, stall: 2 * time.Second}
	noisy   = noise{
		name: "all three", loss: 0.05, jitter: 200 * time.Millisecond,
		pauses: 2 * time.Second, pause: 150 * time.Millisecond, stalls: 30 * time.Second, stall: 2 * time.Second,
	}
)

var dawn = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// world is three coordinators in three regions, two nodes with a member of a service
// each, and some more nodes, in time that passes as fast as it can be counted.
type world struct {
	noise
	random *rand.Rand
	queue  events
	now    time.Time
	serial int

	voters    []*process
	nodes     []*process
	downs     map[string]int // wrong opinions "down" of single coordinators, by target
	verdicts  map[string]int // verdicts "down" of coordinators with a majority, by target
	firstDown map[string]time.Time
	threshold float64
	cut       func(from, to *process) bool
}

// process is something that may stand still or be dead.
type process struct {
	name, region string
	view         *view
	dead         bool
	paused       time.Time // it stands still until then
	arrives      map[string]time.Time
	beats        uint64
	started      time.Time
	member       string
}

type event struct {
	at     time.Time
	serial int
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

type never struct{}

func (never) Probe(context.Context) error { return errors.New("simulated") }

func newWorld(n noise, threshold float64, seed uint64) *world {
	w := &world{
		noise: n, random: rand.New(rand.NewPCG(seed, 1)), now: dawn, threshold: threshold,
		downs: map[string]int{}, verdicts: map[string]int{}, firstDown: map[string]time.Time{},
		cut: func(_, _ *process) bool { return false },
	}
	voters := []vote.Voter{{Name: "eu-1", Region: "eu"}, {Name: "us-1", Region: "us"}, {Name: "ap-1", Region: "ap"}}
	members := []Member{{Name: "a", Node: "db-a", Region: "eu", Probe: never{}}, {Name: "b", Node: "db-b", Region: "us", Probe: never{}}}
	for _, v := range voters {
		o := &Options{
			Node: v.Name, Region: v.Region, Voters: voters, Threshold: threshold, Confirm: 250 * time.Millisecond,
			Services: []Service{{Name: "db", Kind: "postgres", Members: members}},
		}
		o.defaults()
		made, err := newView(o, w.now)
		if err != nil {
			panic(err)
		}
		p := w.process(v.Name, v.Region)
		p.view = made
		w.pauseLater(p, w.stalls, w.stall, 20*time.Second)
		w.voters = append(w.voters, p)
		w.every(p, o.Heartbeat, func() { w.look(p) })
		for _, m := range made.members {
			w.every(p, m.Every, func() { w.probe(p, m) })
		}
	}
	for _, name := range []string{"db-a", "db-b", "n-1", "n-2", "n-3"} {
		p := w.process(name, "eu")
		if m, ok := map[string]string{"db-a": "a", "db-b": "b"}[name]; ok {
			p.member = m
		}
		w.nodes = append(w.nodes, p)
		w.every(p, 250*time.Millisecond, func() { w.beat(p) })
	}
	return w
}

func (w *world) process(name, region string) *process {
	p := &process{name: name, region: region, arrives: map[string]time.Time{}, started: w.now}
	w.pauseLater(p, w.pauses, w.pause, time.Second)
	return p
}

func (w *world) at(t time.Time, do func()) {
	w.serial++
	heap.Push(&w.queue, event{t, w.serial, do})
}

func (w *world) exponential(mean, longest time.Duration) time.Duration {
	return min(time.Duration(w.random.ExpFloat64()*float64(mean)), longest)
}

// pauseLater has a process stand still now and then; not at all when often is 0.
func (w *world) pauseLater(p *process, often, mean, longest time.Duration) {
	if often == 0 {
		return
	}
	w.at(w.now.Add(w.exponential(often, 10*often)), func() {
		if until := w.now.Add(w.exponential(mean, longest)); until.After(p.paused) {
			p.paused = until
		}
		w.at(p.paused, func() { w.pauseLater(p, often, mean, longest) })
	})
}

// every lets a process do something again and again. While it stands still nothing
// is done; what was missed is done once, when it wakes.
func (w *world) every(p *process, interval time.Duration, do func()) {
	next := w.now.Add(time.Duration(w.random.Int64N(int64(interval))))
	var run func()
	run = func() {
		if p.dead {
			return
		}
		if w.now.Before(p.paused) {
			w.at(p.paused, run)
			return
		}
		do()
		for next = next.Add(interval); next.Before(w.now); next = next.Add(interval) {
		}
		w.at(next, run)
	}
	w.at(next, run)
}

// send carries something from one process to another, perhaps, and in order.
func (w *world) send(from, to *process, do func()) {
	if w.cut(from, to) || w.random.Float64() < w.loss {
		return
	}
	way := time.Duration(5+w.random.IntN(35)) * time.Millisecond
	if w.jitter > 0 {
		way += time.Duration(w.random.Int64N(int64(w.jitter)))
	}
	arrival := w.now.Add(way)
	if last := to.arrives[from.name]; arrival.Before(last) {
		arrival = last
	}
	to.arrives[from.name] = arrival
	var deliver func()
	deliver = func() {
		switch {
		case to.dead:
		case w.now.Before(to.paused):
			w.at(to.paused, deliver) // after what it means to do itself when it wakes
		default:
			do()
		}
	}
	w.at(arrival, deliver)
}

func (w *world) beat(p *process) {
	p.beats++
	h := messages.Heartbeat{Node: p.name, Region: p.region, Sequence: p.beats, Started: p.started, IntervalMillis: 250}
	if p.member != "" {
		h.Members = []messages.MemberState{{Service: "db", Member: p.member, Healthy: true}}
	}
	for _, v := range w.voters {
		w.send(p, v, func() { v.view.heard(h, w.now) })
	}
}

// probe asks the node that a member runs on, and is answered, or not within a second.
func (w *world) probe(p *process, m *member) {
	for _, n := range w.nodes {
		if n.name != m.Node {
			continue
		}
		sent := w.now
		w.send(p, n, func() {
			w.send(n, p, func() {
				if w.now.Sub(sent) <= m.Timeout {
					p.view.probed(m, nil, w.now)
				}
			})
		})
	}
}

func (w *world) look(p *process) {
	report, changed := p.view.look(w.now)
	w.note(changed)
	for _, o := range report.Opinions {
		if vote.State(o.State) == vote.Down && o.SinceMillis == 0 {
			w.downs[o.Target]++
		}
	}
	for _, other := range w.voters {
		if other != p {
			w.send(p, other, func() { w.note(other.view.reported(report, w.now)) })
		}
	}
}

func (w *world) note(changed []vote.Verdict) {
	for _, v := range changed {
		if v.State != vote.Down {
			continue
		}
		w.verdicts[v.Target]++
		if _, ok := w.firstDown[v.Target]; !ok {
			w.firstDown[v.Target] = w.now
		}
	}
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// kill ends the node db-a and the member on it.
func (w *world) kill(name string) time.Time {
	for _, p := range append(w.nodes, w.voters...) {
		if p.name == name {
			p.dead = true
		}
	}
	return w.now
}
