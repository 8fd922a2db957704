//go:build !windows

package keeper_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
	"mahavishnu/messages"
)

// plain starts one keeper without a watchdog that looks at its member once an hour only: what it
// notices, it notices by the lease.
func (c *cluster) plain(name string) *running {
	c.t.Helper()
	k, err := keeper.New(keeper.Options{
		Service: c.service, Member: name, Driver: c.s.members[name], Leases: c.leases(name), Records: c.record(name), Timing: c.timing,
		StateFile: filepath.Join(c.dir, name+".json"), Mode: c.mode, ProbeEvery: time.Hour, Retake: time.Hour,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{k: k, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- k.Run(ctx) }()
	c.run[name] = r
	return r
}

func TestALostLeaseStopsTheMemberInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keeper.Asynchronous, 1, "a", "b")
		r := c.plain("a")
		time.Sleep(time.Minute)
		if !c.writable("a") || r.k.Status().State != keeper.Leading {
			t.Fatalf("%+v", r.k.Status())
		}
		c.sever("a")
		time.Sleep(c.timing.RenewDeadline + c.timing.StopTime)
		if s := r.k.Status(); c.writable("a") || s.State != keeper.Fenced || s.Holds {
			t.Errorf("takes writes when its lease may have gone to another: %+v", s)
		}
		c.join()
		c.end("a")
	})
}

func TestAMemberThatResistsKeepsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keeper.Asynchronous, 1, "a", "b")
		r := c.plain("a")
		time.Sleep(time.Minute)
		c.set("a", func(m *member) { m.stubborn = 1000 })
		if _, err := c.order("a", keeper.Command{Verb: keeper.Fence}); err == nil {
			t.Error("fenced what does not die")
		}
		time.Sleep(20 * time.Second)
		if s := r.k.Status(); !s.Holds || s.State != keeper.Fencing || !strings.Contains(s.Trouble, "does not die") {
			t.Errorf("%+v", s)
		}
		c.set("a", func(m *member) { m.stubborn = 0 })
		time.Sleep(5 * time.Second)
		if s := r.k.Status(); c.writable("a") || s.State != keeper.Fenced || s.Holds {
			t.Errorf("%+v", s)
		}
		c.end("a")
	})
}

func TestWhatAKeeperFindsWhenItStarts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(*cluster)
		want   keeper.State
		stays  bool // writable all the time
	}{
		"a primary that is down":                      {func(*cluster) {}, keeper.Leading, false},
		"a primary that takes writes":                 {func(c *cluster) { c.set("a", run) }, keeper.Leading, true},
		"a primary that hangs, remembered":            {func(c *cluster) { c.remember("a"); c.set("a", hang) }, keeper.Leading, false},
		"a primary that hangs, its keeper is new":     {func(c *cluster) { c.claimed("a"); c.set("a", hang) }, keeper.Leading, false},
		"a primary that hangs, the service is new":    {func(c *cluster) { c.set("a", hang) }, keeper.Starting, true},
		"a primary that hangs, nobody answers":        {func(c *cluster) { c.sever("a"); c.set("a", hang) }, keeper.Fenced, false},
		"a primary that is slow to answer":            {func(c *cluster) { c.set("a", hang); c.answerSoon("a") }, keeper.Leading, true},
		"a primary that takes writes, another leads":  {func(c *cluster) { c.lead("b"); c.set("a", run) }, keeper.Fenced, false},
		"a primary that is down, and another leads":   {func(c *cluster) { c.lead("b") }, keeper.Down, false},
		"a primary that takes writes, nobody answers": {func(c *cluster) { c.sever("a"); c.set("a", run) }, keeper.Fenced, false},
		"a standby that is down":                      {func(c *cluster) { c.set("a", func(m *member) { m.role = standby.Standby }) }, keeper.Following, false},
		"a standby":                                   {func(c *cluster) { c.set("a", func(m *member) { m.role, m.up = standby.Standby, true }) }, keeper.Following, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, keeper.Asynchronous, 1, "a", "b")
				c.before(cl)
				cl.start("a")
				time.Sleep(time.Millisecond)
				stayed := true
				for range 300 {
					stayed = stayed && cl.writable("a")
					time.Sleep(10 * time.Millisecond)
				}
				cl.check()
				s := cl.run["a"].k.Status()
				reached := s.State == c.want || c.want == keeper.Fenced && s.State == keeper.Waiting
				if !reached || stayed != c.stays || cl.writable("a") != (c.want == keeper.Leading || c.want == keeper.Starting) {
					t.Errorf("stayed %v, writable %v: %+v", stayed, cl.writable("a"), s)
				}
				cl.join()
				for n := range cl.run {
					cl.end(n)
				}
			})
		})
	}
}

func run(m *member) { m.up, m.writable = true, true }

func hang(m *member) { run(m); m.hangs = true }

// answerSoon ends a member's silence after longer than its keeper may adopt a primary.
func (c *cluster) answerSoon(name string) {
	time.AfterFunc(c.timing.RenewDeadline+500*time.Millisecond, func() { c.set(name, func(m *member) { m.hangs = false }) })
}

// remember lets a member's keeper know that it was the primary under epoch 1.
func (c *cluster) remember(name string) {
	c.t.Helper()
	c.a.revision = 10 // leases are above it
	if err := os.WriteFile(filepath.Join(c.dir, name+".json"), []byte(`{"tenure": 1, "role": "primary"}`), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// claimed lets the service's record say that a member was the primary under epoch 1.
func (c *cluster) claimed(name string) {
	c.a.revision = 10
	c.a.records["service-"+c.service] = document{[]byte(`{"primary": "` + name + `", "epoch": 1}`), 5}
}

// lead makes another member the primary.
func (c *cluster) lead(name string) {
	c.t.Helper()
	c.start(name)
	if _, err := c.order(name, keeper.Command{Verb: keeper.Promote}); err != nil {
		c.t.Error(err)
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keeper.Asynchronous, 1, "a", "b")
		c.a.revision = 10 // there were tenures before
		c.begin()
		time.Sleep(5 * time.Second)
		status := func() keeper.Status { return c.run["a"].k.Status() }
		tenure := status().Epoch
		if tenure == 0 || status().State != keeper.Leading {
			t.Fatalf("%+v", status())
		}
		to := standby.Peer{Name: "b", Host: "h", Port: 1}
		for name, cmd := range map[string]keeper.Command{
			"a fence for the tenure before":    {Verb: keeper.Fence, Tenure: tenure - 1},
			"a demotion for the tenure before": {Verb: keeper.Demote, Tenure: tenure - 1},
			"a primary that is to follow":      {Verb: keeper.Rejoin, Primary: to},
			"nothing that there is":            {Verb: "dance"},
		} {
			if _, err := c.order("a", cmd); err == nil {
				t.Errorf("%s: done", name)
			}
		}
		if a, err := c.order("a", keeper.Command{Verb: keeper.Promote}); err != nil || a.Epoch != tenure {
			t.Errorf("promoting a primary: %+v, %v", a, err)
		}
		a, err := c.order("a", keeper.Command{Verb: keeper.Demote, Tenure: tenure})
		if err != nil || a.State != keeper.Fenced || c.writable("a") || status().Holds {
			t.Errorf("demoted: %+v, %v", a, err)
		}
		if again, err := c.order("a", keeper.Command{Verb: keeper.Demote, Tenure: tenure}); err != nil || again.State != keeper.Fenced {
			t.Errorf("demoted again: %+v, %v", again, err)
		}
		p, err := c.order("b", keeper.Command{Verb: keeper.Promote})
		if err != nil || p.Epoch <= tenure {
			t.Errorf("promoted: %+v, %v", p, err)
		}
		if f, err := c.order("a", keeper.Command{Verb: keeper.Rejoin, Primary: to}); err != nil || f.State != keeper.Following {
			t.Errorf("rejoined: %+v, %v", f, err)
		}
		if _, err := c.order("a", keeper.Command{Verb: keeper.Rejoin, Primary: standby.Peer{Name: "a"}}); err == nil {
			t.Error("it follows itself")
		}
		for _, n := range c.names {
			c.end(n)
		}
	})
}

func TestOptionsAndStateAreChecked(t *testing.T) {
	t.Parallel()
	c := newCluster(t, keeper.Asynchronous, 1, "a")
	good := func() keeper.Options {
		return keeper.Options{
			Service: "db", Member: "a", Driver: c.s.members["a"], Leases: c.leases("a"), Records: c.record("a"), StateFile: filepath.Join(t.TempDir(), "state"),
		}
	}
	if _, err := keeper.New(good()); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*keeper.Options){
		"service": func(o *keeper.Options) { o.Service = "a b" }, "member": func(o *keeper.Options) { o.Member = "" },
		"driver": func(o *keeper.Options) { o.Driver = nil }, "state": func(o *keeper.Options) { o.StateFile = "" },
		"mode": func(o *keeper.Options) { o.Mode = "hasty" },
		"mode of a driver that cannot": func(o *keeper.Options) {
			o.Mode = keeper.Strict
			o.Driver = struct{ standby.Driver }{o.Driver}
		},
		"timing": func(o *keeper.Options) {
			o.Timing = messages.TimingFor(time.Second)
			o.Timing.Lease = o.Timing.RenewDeadline
		},
	} {
		o := good()
		change(&o)
		if _, err := keeper.New(o); err == nil {
			t.Errorf("a wrong %s is taken", name)
		}
	}
	for _, text := range []string{"", "{", `{"role":"king"}`} {
		o := good()
		if err := os.WriteFile(o.StateFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := keeper.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Run(t.Context()); err == nil {
			t.Errorf("runs without knowing which epochs it has seen: %q", text)
		}
		if _, err := k.Do(t.Context(), keeper.Command{Verb: keeper.Fence}); !errors.Is(err, keeper.ErrStopped) {
			t.Errorf("%v", err)
		}
	}
}

// A primary that is there and takes no writes keeps its lease from others for Patience
// only, whatever it says of its role.
func TestAPrimaryThatTakesNoWritesIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keeper.Asynchronous, 1, "a", "b")
		c.start("a")
		defer c.end("a")
		time.Sleep(10 * time.Second)
		c.set("a", func(m *member) { m.writable = false })
		time.Sleep(500 * time.Millisecond) // less than its patience, a second
		if s := c.run["a"].k.Status(); s.State != keeper.Leading {
			t.Errorf("given up at once: %+v", s)
		}
		c.set("a", func(m *member) { m.writable = true })
		time.Sleep(2 * time.Second)
		if s := c.run["a"].k.Status(); s.State != keeper.Leading {
			t.Errorf("given up although it takes writes again: %+v", s)
		}
		c.set("a", func(m *member) { m.writable = false })
		time.Sleep(2 * time.Second)
		if s := c.run["a"].k.Status(); s.Holds || s.State != keeper.Fenced || !strings.Contains(s.Reason, "taken no writes") {
			t.Errorf("%+v", s)
		}
	})
}
