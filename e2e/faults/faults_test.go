//go:build linux

package faults

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mahavishnu/lab/wire"
	"mahavishnu/messages"
)

// scene is a world with the chance that decides what becomes of it.
type scene struct {
	*world
	random *rand.Rand
	done   map[string]int
}

// watchdogKilled is the one fault that comes alone.
const watchdogKilled = "watchdog killed"

// faults are what may happen to a machine for a while.
var faults = []struct {
	name string
	do   func(s *scene, m *machine, d time.Duration)
}{
	{"member killed", func(_ *scene, m *machine, _ time.Duration) { m.agent.crash() }},
	{"member stopped", func(_ *scene, m *machine, d time.Duration) {
		m.signalMember(syscall.SIGSTOP)
		time.Sleep(d)
		m.signalMember(syscall.SIGCONT)
	}},
	{"coordinator killed", func(_ *scene, m *machine, d time.Duration) {
		m.running().Kill()
		time.Sleep(d)
	}},
	{"coordinator stopped", func(_ *scene, m *machine, d time.Duration) {
		m.running().Signal(syscall.SIGSTOP)
		time.Sleep(d)
		m.running().Signal(syscall.SIGCONT)
	}},
	{"coordinator stopped, its member out of sight", func(_ *scene, m *machine, d time.Duration) {
		m.sight.Cut()
		m.running().Signal(syscall.SIGSTOP)
		time.Sleep(d)
		m.running().Signal(syscall.SIGCONT)
		m.sight.Mend()
	}},
	{"coordinator killed, its member out of sight", func(_ *scene, m *machine, d time.Duration) {
		m.sight.Cut()
		m.running().Kill()
		time.Sleep(d)
	}},
	{"machine isolated", func(_ *scene, m *machine, d time.Duration) {
		m.sight.Cut()
		m.isolated(d)
		m.sight.Mend()
	}},
	{"coordinator and member stopped", func(_ *scene, m *machine, d time.Duration) {
		m.running().Signal(syscall.SIGSTOP)
		m.signalMember(syscall.SIGSTOP)
		time.Sleep(d)
		m.signalMember(syscall.SIGCONT)
		m.running().Signal(syscall.SIGCONT)
	}},
	{"coordinator stutters", func(s *scene, m *machine, d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			m.running().Signal(syscall.SIGSTOP)
			time.Sleep(time.Duration(20+s.random.IntN(150)) * time.Millisecond)
			m.running().Signal(syscall.SIGCONT)
			time.Sleep(time.Duration(5+s.random.IntN(60)) * time.Millisecond)
		}
	}},
	{"machine dies", func(_ *scene, m *machine, d time.Duration) {
		m.killWatchdog()
		m.running().Kill()
		m.agent.die()
		time.Sleep(d)
	}},
	{watchdogKilled, func(s *scene, m *machine, _ time.Duration) {
		m.killWatchdog()
		// Until its keeper has another, nothing else may happen there: both at once is
		// what nothing but hardware helps against.
		for end := time.Now().Add(2 * time.Second); s.primary() == m && m.watchdog() == 0 && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
	}},
	{"wire cut", func(_ *scene, m *machine, d time.Duration) { m.isolated(d) }},
	{"wire cut one way, it is not heard", func(_ *scene, m *machine, d time.Duration) { m.isolated(d, wire.There) }},
	{"wire cut one way, it hears nothing", func(_ *scene, m *machine, d time.Duration) { m.isolated(d, wire.Back) }},
	{"promotion takes long", func(s *scene, m *machine, d time.Duration) {
		for _, m := range s.machines {
			m.agent.mu.Lock()
			m.agent.slow = d
			m.agent.mu.Unlock()
		}
		m.agent.crash()
	}},
	{"all wires cut", func(s *scene, _ *machine, d time.Duration) {
		for _, m := range s.machines {
			m.wire.Cut()
		}
		time.Sleep(d)
		for _, m := range s.machines {
			m.wire.Mend()
		}
	}},
	{"server restarted", func(s *scene, _ *machine, _ time.Duration) {
		if err := s.server.Restart(); err != nil {
			s.history.wrong("the server does not come back: %v", err)
		}
	}},
	{"order of an old coordinator", func(s *scene, m *machine, _ time.Duration) {
		epoch := s.leader()
		if heard, err := s.command(messages.VerbStatus, m.agent.name, epoch); epoch == 0 || err != nil || !heard.OK {
			return
		}
		if reply, err := s.command(messages.VerbFence, m.agent.name, epoch-1); err == nil && reply.OK {
			s.history.wrong("%s obeyed epoch %d after %d", m.agent.name, epoch-1, epoch)
		}
	}},
}

func (m *machine) isolated(d time.Duration, ways ...wire.Way) {
	m.wire.Cut(ways...)
	time.Sleep(d)
	m.wire.Mend()
}

// run does one to three things at a time, heals all of it, and waits until clients can write and
// somebody stands by.
func (s *scene) run(n int) time.Duration {
	s.t.Helper()
	var story []string
	var all sync.WaitGroup
	hurt := map[*machine]string{}
	for range 1 + s.random.IntN(3) {
		f, m := faults[s.random.IntN(len(faults))], s.machines[s.random.IntN(len(s.machines))]
		if s.random.IntN(2) == 0 {
			m = s.primary() // whom it hurts
		}
		if hurt[m] == watchdogKilled || f.name == watchdogKilled && hurt[m] != "" {
			continue
		}
		hurt[m] = f.name
		d := time.Duration(50+s.random.IntN(1200)) * time.Millisecond
		if s.random.IntN(4) == 0 {
			d = time.Duration(3000+s.random.IntN(1500)) * time.Millisecond // enough for another to take over
		}
		story = append(story, fmt.Sprintf("%s: %s, %v", m.name, f.name, d))
		s.done[f.name]++
		all.Go(func() { f.do(&scene{world: s.world, random: rand.New(rand.NewPCG(uint64(n), uint64(d)))}, m, d) })
		time.Sleep(time.Duration(s.random.IntN(700)) * time.Millisecond)
	}
	all.Wait()
	for _, m := range s.machines {
		if err := m.heal(); err != nil {
			s.t.Fatal(err)
		}
	}
	healed := now()
	what := fmt.Sprintf("after run %d (%s), ", n, strings.Join(story, "; "))
	s.until(what+"a write is answered", func() bool { return s.history.writtenSince(healed) })
	took := time.Duration(now() - healed)
	if took > longOutage {
		s.t.Logf("%sit took %v until a write was answered", what, took.Round(time.Millisecond))
	}
	s.until(what+"somebody stands by", s.standsBy)
	return took
}

// longOutage is after how long a run is worth looking at: some step had to be repeated.
const longOutage = 15 * time.Second

// quickRuns is how many runs are made unless FAULTS_RUNS says otherwise.
const quickRuns = 50

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, and has to be a number above 0", name, text)
	}
	return n
}

// TestRandomFaults does random things to whole systems.
func TestRandomFaults(t *testing.T) {
	runs, worlds := number(t, "FAULTS_RUNS", quickRuns), worldsAtATime()
	seed := uint64(number(t, "FAULTS_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("%d runs in %d worlds at a time; FAULTS_SEED=%d FAULTS_RUNS=%d FAULTS_WORLDS=%d does the same again", runs, worlds, seed, runs, worlds)
	var mu sync.Mutex
	var made, acts, tenures int
	var took []time.Duration
	kinds := map[string]int{}
	t.Run("worlds", func(t *testing.T) {
		for i := range worlds {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				s := &scene{world: newWorld(t), random: rand.New(rand.NewPCG(seed, uint64(i))), done: map[string]int{}}
				for n := i; n < runs; n += worlds {
					one := s.run(n)
					mu.Lock()
					made++
					took = append(took, one)
					mu.Unlock()
				}
				seen, won := s.judge()
				mu.Lock()
				defer mu.Unlock()
				acts, tenures = acts+seen, tenures+won
				for kind, n := range s.done {
					kinds[kind] += n
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[int(share*float64(len(took)-1))].Round(time.Millisecond)
	}
	t.Logf("%d runs, %d tenures, %d acts under them judged; from the heal to the next write: median %v, 95 %% %v, at most %v",
		made, tenures, acts, at(.5), at(.95), at(1))
	for _, kind := range slices.SortedFunc(maps.Keys(kinds), func(a, b string) int { return cmp.Compare(kinds[b], kinds[a]) }) {
		t.Logf("%4d × %s", kinds[kind], kind)
	}
	if tenures < runs/10 {
		t.Errorf("only %d tenures in %d runs: the faults hurt nobody", tenures, runs)
	}
}
