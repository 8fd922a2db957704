package coordinator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
)

// court is three coordinators on a hub, with one throne, in synthetic time.
type court struct {
	*testing.T
	hub    *hub
	throne *throne
	all    map[string]*Coordinator
	stop   map[string]func()
	probes map[string]*switched
	acts   *actor
}

// switched is a prober that fails while it is off.
type switched struct {
	mu  sync.Mutex
	off bool
}

func (s *switched) Probe(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		return errors.New("connection refused")
	}
	return nil
}

func (s *switched) turn(off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = off
}

// actor is a reactor that notes its calls.
type actor struct {
	mu       sync.Mutex
	calls    []Situation
	fail     error
	duration time.Duration
	ended    []error // the causes of contexts that ended during a call
}

func (a *actor) React(ctx context.Context, s Situation) error {
	a.mu.Lock()
	a.calls = append(a.calls, s)
	fail, duration := a.fail, a.duration
	a.mu.Unlock()
	select {
	case <-time.After(duration):
	case <-ctx.Done():
		a.mu.Lock()
		a.ended = append(a.ended, context.Cause(ctx))
		a.mu.Unlock()
		return context.Cause(ctx)
	}
	return fail
}

func (a *actor) take() []Situation {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.calls
	a.calls = nil
	return calls
}

var regions = map[string]string{"eu-1": "eu", "us-1": "us", "ap-1": "ap"}

func newCourt(t *testing.T) *court {
	c := &court{
		T: t, hub: newHub(), throne: newThrone(), all: map[string]*Coordinator{}, stop: map[string]func(){},
		probes: map[string]*switched{"a": {}, "b": {}}, acts: &actor{},
	}
	for _, name := range []string{"eu-1", "us-1", "ap-1"} {
		c.start(name)
	}
	return c
}

func (c *court) start(name string) {
	var voters []vote.Voter
	for n, r := range regions {
		voters = append(voters, vote.Voter{Name: n, Region: r})
	}
	made, err := New(Options{
		Node: name, Region: regions[name], Voters: voters, Confirm: 250 * time.Millisecond,
		Services: []Service{{Name: "db", Kind: "postgres", Members: []Member{
			{Name: "a", Region: "eu", Probe: c.probes["a"]}, {Name: "b", Region: "us", Probe: c.probes["b"]},
		}}},
		Lines: c.hub.line(name), Elector: seat{c.throne, name}, Reactor: c.acts,
	})
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		made.Run(ctx) //nolint:errcheck // it ends with its context
	}()
	c.all[name] = made
	c.stop[name] = func() { cancel(); <-ended }
}

func (c *court) close() {
	for _, stop := range c.stop {
		stop()
	}
}

// leader is who says that it leads; "" is nobody.
func (c *court) leader() string {
	leader := ""
	for name, one := range c.all {
		if one.Status().Epoch > 0 {
			if leader != "" {
				c.Errorf("%s and %s lead at once", leader, name)
			}
			leader = name
		}
	}
	return leader
}

func TestOneLeadsAndReactsToVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourt(t)
		defer c.close()
		time.Sleep(3 * time.Second)
		leader := c.leader()
		if leader == "" {
			t.Fatal("nobody leads")
		}
		calls := c.acts.take()
		if len(calls) != 1 || calls[0].Epoch != 1 || calls[0].Status.Services[0].Members[0].Verdict != "up" {
			t.Fatalf("at the beginning: %+v", calls)
		}
		c.probes["a"].turn(true)
		time.Sleep(3 * time.Second)
		calls = c.acts.take()
		if len(calls) == 0 {
			t.Fatal("the reactor was not called")
		}
		last := calls[len(calls)-1].Status.Services[0].Members
		if last[0].Verdict != "down" || last[1].Verdict != "up" {
			t.Fatalf("the reactor saw %+v", last)
		}
		for name, one := range c.all {
			if v := one.Verdict(MemberTarget("db", "a")); v.State != vote.Down {
				t.Errorf("%s: %s", name, v.State)
			}
		}
		time.Sleep(time.Minute)
		if calls := c.acts.take(); len(calls) != 2 {
			t.Errorf("in a quiet minute the reactor was called %d times, want 2", len(calls))
		}
	})
}

func TestChangesDuringAReactionBringOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourt(t)
		defer c.close()
		time.Sleep(3 * time.Second)
		c.acts.take()
		c.acts.mu.Lock()
		c.acts.duration = 10 * time.Second
		c.acts.mu.Unlock()
		c.probes["a"].turn(true)
		time.Sleep(4 * time.Second)
		c.probes["b"].turn(true) // while it reacts
		time.Sleep(30 * time.Second)
		calls := c.acts.take()
		if len(calls) < 2 || len(calls) > 3 {
			t.Fatalf("%d calls", len(calls))
		}
		for _, m := range calls[len(calls)-1].Status.Services[0].Members {
			if m.Verdict != "down" {
				t.Errorf("the last call did not see %s down but %s", m.Member, m.Verdict)
			}
		}
	})
}

func TestAReactionThatFailedIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourt(t)
		defer c.close()
		c.acts.mu.Lock()
		c.acts.fail = errors.New("the plan's journal cannot be written")
		c.acts.mu.Unlock()
		time.Sleep(10 * time.Second)
		if calls := c.acts.take(); len(calls) < 8 || len(calls) > 11 {
			t.Errorf("called %d times in ten seconds", len(calls))
		}
	})
}

// A leader that is cut off stops at once, before its lease lapses, and another one
// leads; when the line is mended the old one is an ordinary voter.
func TestAMinorityDoesNotLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourt(t)
		defer c.close()
		time.Sleep(3 * time.Second)
		old := c.leader()
		c.acts.mu.Lock()
		c.acts.duration = time.Hour // it is in the middle of something
		c.acts.mu.Unlock()
		c.probes["a"].turn(true)
		time.Sleep(3 * time.Second)
		for other := range regions {
			if other != old {
				c.hub.sever(old, other, true)
				c.hub.sever(other, old, true)
			}
		}
		time.Sleep(3 * time.Second)
		c.acts.mu.Lock()
		ended := slices.Clone(c.acts.ended)
		c.acts.mu.Unlock()
		if len(ended) != 1 || !errors.Is(ended[0], ErrMinority) {
			t.Errorf("the reaction ended with %v, want ErrMinority", ended)
		}
		if s := c.all[old].Status(); s.Quorum.Have || s.Epoch != 0 || s.Services[0].Members[0].Verdict != "unknown" {
			t.Errorf("the one that was cut off: %+v", s)
		}
		time.Sleep(3 * time.Second)
		next := c.leader()
		if next == "" || next == old {
			t.Fatalf("%q leads after %q was cut off", next, old)
		}
		for other := range regions {
			c.hub.sever(old, other, false)
			c.hub.sever(other, old, false)
		}
		time.Sleep(5 * time.Second)
		if !c.all[old].Quorum().Have || c.leader() != next {
			t.Errorf("after the line was mended %q leads; %s", c.leader(), c.all[old].Quorum().Why(time.Now()))
		}
		c.acts.mu.Lock()
		c.acts.duration = 0
		c.acts.mu.Unlock()
	})
}

// A leads over B over C over nobody: lines that work one way count for nothing.
// A reactor that leads itself is run for as long as the leadership lasts, and ends it.
func TestALeaderLeadsAsLongAsItsReactorDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &working{quit: make(chan error)}
		h := newHub()
		crown := newThrone()
		one, err := New(Options{Node: "eu-1", Region: "eu", Lines: h.line("eu-1"), Elector: seat{crown, "eu-1"}, Reactor: w})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			one.Run(ctx) //nolint:errcheck // it ends with its context
		}()
		time.Sleep(time.Minute)
		if w.begun() != 1 || one.Status().Epoch != 1 {
			t.Errorf("begun %d times, epoch %d", w.begun(), one.Status().Epoch)
		}
		w.quit <- errLost // it saw a higher epoch
		time.Sleep(time.Minute)
		if w.begun() != 2 || one.Status().Epoch != 2 {
			t.Errorf("begun %d times, epoch %d", w.begun(), one.Status().Epoch)
		}
		cancel()
		<-ended
	})
}

// working is a reactor with work of its own.
type working struct {
	actor
	quit  chan error
	count sync.Mutex
	times int
}

func (w *working) Lead(ctx context.Context, _ uint64) error {
	w.count.Lock()
	w.times++
	w.count.Unlock()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-w.quit:
		return err
	}
}

func (w *working) begun() int {
	w.count.Lock()
	defer w.count.Unlock()
	return w.times
}

func TestLinesThatWorkOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourt(t)
		defer c.close()
		time.Sleep(3 * time.Second)
		c.hub.sever("eu-1", "us-1", true)
		c.hub.sever("us-1", "ap-1", true)
		c.hub.sever("ap-1", "eu-1", true)
		time.Sleep(5 * time.Second)
		for name, one := range c.all {
			if q := one.Quorum(); q.Have {
				t.Errorf("%s has a majority: %s", name, q.Why(time.Now()))
			}
		}
		if l := c.leader(); l != "" {
			t.Errorf("%s leads", l)
		}
	})
}

func TestALostLeaseEndsTheLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourt(t)
		defer c.close()
		time.Sleep(3 * time.Second)
		old := c.leader()
		c.throne.lose(errLost)
		time.Sleep(100 * time.Millisecond)
		if c.leader() != "" {
			t.Errorf("%s leads on without a lease", old)
		}
		c.throne.free <- struct{}{} // it lapses
		time.Sleep(5 * time.Second)
		if c.leader() == "" || len(c.throne.history()) != 2 {
			t.Errorf("%q leads; the throne saw %v", c.leader(), c.throne.history())
		}
	})
}

func TestTheLeaderStopsAndAnotherLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourt(t)
		defer c.close()
		time.Sleep(3 * time.Second)
		old := c.leader()
		c.stop[old]()
		delete(c.all, old)
		time.Sleep(time.Second)
		if next := c.leader(); next == "" {
			t.Error("nobody leads")
		}
		c.stop[old] = func() {}
	})
}

func TestWrongCoordinatorsAreRefused(t *testing.T) {
	good := func() Options {
		h := newHub()
		return Options{Node: "eu-1", Region: "eu", Lines: h.line("eu-1"), Elector: seat{newThrone(), "eu-1"}}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"no name":       func(o *Options) { o.Node = "" },
		"no line":       func(o *Options) { o.Lines = nil },
		"two regions":   func(o *Options) { o.Voters = []vote.Voter{{Name: "eu-1", Region: "eu"}, {Name: "us-1", Region: "us"}} },
		"another place": func(o *Options) { o.Voters = []vote.Voter{{Name: "eu-1", Region: "us"}} },
		"a lease shorter than what must fit into it": func(o *Options) {
			o.Timing = messages.TimingFor(3 * time.Second)
			o.Timing.Lease = 2 * time.Second
		},
		"nobody knows how to look": func(o *Options) { o.Services = []Service{{Name: "db", Members: []Member{{Name: "a"}}}} },
	} {
		o := good()
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
