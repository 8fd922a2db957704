// Package simulate plays coordinators through noise: days of lost, late and starved
// messages in seconds, with the judgement that runs in earnest ([coordinator.Observer])
// and time that passes as fast as it can be counted. It tells how often somebody who
// lives is held down, and how long it takes until somebody who died is.
//
// The same seed gives the same day.
package simulate

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"mahavishnu/coordinator"
	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
)

// Noise is what goes wrong in a world though nobody is dead.
type Noise struct {
	Name string
	// Loss is the share of messages and probes that never arrive, each line on its own.
	Loss float64
	// Jitter is added to each message's way, evenly from nothing to this.
	Jitter time.Duration
	// Pauses is how often each process stands still for want of a processor, on
	// average; Pause is for how long, on average, exponentially, at most a second:
	// what stands still for longer than a coordinator waits is down to everybody.
	Pauses, Pause time.Duration
	// Stalls and Stall are the same for coordinators, which may stand still for as
	// long as they like without anybody being down for it: at most 20 seconds.
	Stalls, Stall time.Duration
}

// Noises are the kinds of noise, from none to all at once: the last one is that of a noisy
// day.
func Noises() []Noise {
	loss, jitter := 0.05, 200*time.Millisecond
	starved := Noise{Name: "starved", Pauses: 2 * time.Second, Pause: 150 * time.Millisecond, Stalls: 30 * time.Second, Stall: 2 * time.Second}
	all := starved
	all.Name, all.Loss, all.Jitter = "all three", loss, jitter
	return []Noise{{Name: "calm"}, {Name: "loss 5 %", Loss: loss}, {Name: "jitter 200 ms", Jitter: jitter}, starved, all}
}

// String is what the noise is, for people.
func (n Noise) String() string {
	var parts []string
	if n.Loss > 0 {
		parts = append(parts, fmt.Sprintf("%.0f %% of messages and probes lost", 100*n.Loss))
	}
	if n.Jitter > 0 {
		parts = append(parts, fmt.Sprintf("up to %v of jitter", n.Jitter))
	}
	if n.Pauses > 0 {
		parts = append(parts, fmt.Sprintf("every process standing still every %v for %v on average, coordinators every %v for %v", n.Pauses, n.Pause, n.Stalls, n.Stall))
	}
	if len(parts) == 0 {
		return n.Name + ": nothing goes wrong"
	}
	return n.Name + ": " + strings.Join(parts, ", ")
}

// What is watched, and how often.
const (
	service    = "db"
	every      = 250 * time.Millisecond
	answerTime = time.Second
)

var dawn = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// World is three coordinators in three regions, two nodes with a member of a service
// each, and some more nodes, in time that passes as fast as it can be counted.
type World struct {
	noise  Noise
	random *rand.Rand
	queue  events
	now    time.Time
	serial int

	voters    []*process
	nodes     []*process
	downs     map[string]int // wrong opinions "down" of single coordinators, by target
	verdicts  map[string]int // verdicts "down" of coordinators with a majority, by target
	firstDown map[string]time.Time
	cut       func(from, to *process) bool
}

// process is something that may stand still or be dead.
type process struct {
	name, region string
	observer     *coordinator.Observer // of one that votes
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

// New returns a world. Threshold is the phi that counts, 0 the default.
func New(n Noise, threshold float64, seed uint64) (*World, error) {
	w := &World{
		noise: n, random: rand.New(rand.NewPCG(seed, 1)), now: dawn,
		downs: map[string]int{}, verdicts: map[string]int{}, firstDown: map[string]time.Time{},
		cut: func(_, _ *process) bool { return false },
	}
	voters := []vote.Voter{{Name: "eu-1", Region: "eu"}, {Name: "us-1", Region: "us"}, {Name: "ap-1", Region: "ap"}}
	members := []coordinator.Member{
		{Name: "a", Node: "db-a", Region: "eu", Probe: never{}, Every: every, Timeout: answerTime},
		{Name: "b", Node: "db-b", Region: "us", Probe: never{}, Every: every, Timeout: answerTime},
	}
	for _, v := range voters {
		made, err := coordinator.NewObserver(coordinator.Options{
			Node: v.Name, Region: v.Region, Voters: voters, Heartbeat: every, Threshold: threshold, Confirm: every,
			Services: []coordinator.Service{{Name: service, Kind: "postgres", Members: members}},
		}, w.now)
		if err != nil {
			return nil, err
		}
		p := w.process(v.Name, v.Region)
		p.observer = made
		w.pauseLater(p, n.Stalls, n.Stall, 20*time.Second)
		w.voters = append(w.voters, p)
		w.every(p, every, func() { w.look(p) })
		for _, m := range members {
			w.every(p, m.Every, func() { w.probe(p, m) })
		}
	}
	for _, name := range []string{"db-a", "db-b", "n-1", "n-2", "n-3"} {
		p := w.process(name, "eu")
		if m, ok := map[string]string{"db-a": "a", "db-b": "b"}[name]; ok {
			p.member = m
		}
		w.nodes = append(w.nodes, p)
		w.every(p, every, func() { w.beat(p) })
	}
	return w, nil
}

func (w *World) process(name, region string) *process {
	p := &process{name: name, region: region, arrives: map[string]time.Time{}, started: w.now}
	w.pauseLater(p, w.noise.Pauses, w.noise.Pause, time.Second)
	return p
}

func (w *World) at(t time.Time, do func()) {
	w.serial++
	heap.Push(&w.queue, event{t, w.serial, do})
}

func (w *World) exponential(mean, longest time.Duration) time.Duration {
	return min(time.Duration(w.random.ExpFloat64()*float64(mean)), longest)
}

// pauseLater has a process stand still now and then; not at all when often is 0.
func (w *World) pauseLater(p *process, often, mean, longest time.Duration) {
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
func (w *World) every(p *process, interval time.Duration, do func()) {
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
func (w *World) send(from, to *process, do func()) {
	if w.cut(from, to) || w.random.Float64() < w.noise.Loss {
		return
	}
	way := time.Duration(5+w.random.IntN(35)) * time.Millisecond
	if w.noise.Jitter > 0 {
		way += time.Duration(w.random.Int64N(int64(w.noise.Jitter)))
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

func (w *World) beat(p *process) {
	p.beats++
	h := messages.Heartbeat{Node: p.name, Region: p.region, Sequence: p.beats, Started: p.started, IntervalMillis: every.Milliseconds()}
	if p.member != "" {
		h.Members = []messages.MemberState{{Service: service, Member: p.member, Healthy: true}}
	}
	for _, v := range w.voters {
		w.send(p, v, func() { v.observer.Heard(h, w.now) })
	}
}

// probe asks the node that a member runs on, and is answered, or not within a second.
func (w *World) probe(p *process, m coordinator.Member) {
	for _, n := range w.nodes {
		if n.name != m.Node {
			continue
		}
		sent := w.now
		w.send(p, n, func() {
			w.send(n, p, func() {
				if w.now.Sub(sent) <= m.Timeout {
					p.observer.Probed(service, m.Name, nil, w.now)
				}
			})
		})
	}
}

func (w *World) look(p *process) {
	report, changed := p.observer.Look(w.now)
	w.note(changed)
	for _, o := range report.Opinions {
		if vote.State(o.State) == vote.Down && o.SinceMillis == 0 {
			w.downs[o.Target]++
		}
	}
	for _, other := range w.voters {
		if other != p {
			w.send(p, other, func() { w.note(other.observer.Reported(report, w.now)) })
		}
	}
}

func (w *World) note(changed []vote.Verdict) {
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

// Run lets time pass.
func (w *World) Run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// kill ends a node and what is on it.
func (w *World) kill(name string) {
	for _, p := range w.nodes {
		if p.name == name {
			p.dead = true
		}
	}
}

// Suspicions counts how often a single coordinator held somebody down who lived.
func (w *World) Suspicions() int { return total(w.downs) }

// Verdicts counts how often a coordinator with a majority held somebody down who lived.
func (w *World) Verdicts() int { return total(w.verdicts) }

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}
