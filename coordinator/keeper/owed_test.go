package keeper_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
)

// A member that died while it took writes, and is started behind the back of its keeper so that it
// takes writes at once, is stopped before anything else, also by a keeper that was restarted
// meanwhile: nobody tries to win the lease for it, as for one that is merely found.
func TestADeadMemberIsToldWhenItAnswers(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct{ restarted, writable bool }{
		"its keeper goes on":                         {false, true},
		"its keeper is restarted":                    {true, true},
		"it takes none, as it should":                {false, false},
		"it takes none, and its keeper is restarted": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, keeper.Asynchronous, 1, "a", "b")
				c.begin()
				time.Sleep(time.Minute)
				if c.leader() != "a" {
					t.Fatalf("%s leads", c.leader())
				}
				c.set("a", (*member).die)
				if _, err := c.order("b", keeper.Command{Verb: keeper.Promote}); err != nil {
					t.Fatal(err)
				}
				if !c.run["a"].k.Status().Untold {
					t.Error("it is said that it was told")
				}
				wake := func() { c.set("a", func(m *member) { m.live(); m.writable = how.writable }) }
				if how.restarted {
					c.end("a")
					wake()
					c.start("a")
				} else {
					wake()
				}
				time.Sleep(300 * time.Millisecond)
				if s := c.run["a"].k.Status(); c.writable("a") || s.State == keeper.Fencing {
					t.Errorf("it takes writes: %v; %+v", c.writable("a"), s)
				}
				c.set("a", func(m *member) {
					if m.up {
						t.Error("it was not told that it is fenced")
					}
				})
				if !c.writable("b") {
					t.Error("the primary was stopped")
				}
				if c.run["a"].k.Status().Untold {
					t.Error("it is said that it was not told")
				}
				// Told once, it is left alone.
				c.set("a", func(m *member) { m.up, m.stubborn = true, 1000 })
				time.Sleep(time.Minute)
				if s := c.run["a"].k.Status(); s.State == keeper.Fencing || s.Trouble != "" {
					t.Errorf("%+v", s)
				}
				c.set("a", func(m *member) { m.stubborn = 0 })
				c.end("a")
				c.end("b")
			})
		})
	}
}

// A member that died waits for the lease only until it has heard of the fence; a promotion
// under a later epoch needs none.
func TestADeadMemberIsPromotedWhenItIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keeper.Asynchronous, 1, "a")
		c.begin()
		time.Sleep(time.Minute)
		c.set("a", (*member).die)
		time.Sleep(time.Minute)
		if s := c.run["a"].k.Status(); s.Holds {
			t.Errorf("a lease is kept for a member that is gone: %+v", s)
		}
		c.set("a", (*member).live)
		time.Sleep(time.Minute)
		if s := c.run["a"].k.Status(); s.State != keeper.Leading || !c.writable("a") {
			t.Errorf("%+v", s)
		}
		c.check()
		c.end("a")
	})
}

// A person's word counts for a member that could not be stopped, and for no other.
func TestConfirmStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keeper.Asynchronous, 1, "a", "b")
		c.begin()
		time.Sleep(time.Minute)
		confirm := keeper.Command{Verb: keeper.Confirm, By: "ann", Why: "pulled the plug"}
		for _, name := range c.names {
			before := c.run[name].k.Status().State
			if _, err := c.order(name, confirm); err == nil || c.run[name].k.Status().State != before {
				t.Errorf("%s, which is %s: %v", name, before, err)
			}
		}
		c.set("a", func(m *member) { m.stubborn = 1000 })
		if _, err := c.order("a", keeper.Command{Verb: keeper.Fence}); err == nil || !strings.Contains(err.Error(), "could not be stopped") {
			t.Error(err)
		}
		for range 2 { // and once more
			c.set("a", (*member).die)
			answer, err := c.order("a", confirm)
			if err != nil || answer.State != keeper.Fenced {
				t.Fatalf("%+v, %v", answer, err)
			}
		}
		if s := c.run["a"].k.Status(); s.Holds || s.Reason != "ann says that it was stopped by hand: pulled the plug" {
			t.Errorf("%+v", s)
		}
		// A plan orders it to be stopped all the same, which need not succeed.
		c.set("a", func(m *member) { m.stubborn = 1000 })
		for range 2 {
			if answer, err := c.order("a", keeper.Command{Verb: keeper.Fence}); err != nil || answer.State != keeper.Fenced {
				t.Errorf("%+v, %v", answer, err)
			}
		}
		c.set("a", func(m *member) { m.stubborn = 0 })
		if _, err := c.order("b", keeper.Command{Verb: keeper.Promote}); err != nil {
			t.Error(err)
		}
		c.set("a", func(m *member) { m.live(); m.stubborn = 0 })
		c.check()
		c.end("a")
		c.end("b")
	})
}

// lacking is a member whose machine lacks what stops it.
type lacking struct{ *member }

var errNoProgram = errors.New("the program that stops it is not there")

func (lacking) Check() (unstoppable, other error) { return errNoProgram, nil }

func TestAMemberThatCouldNotBeStoppedIsNotPromoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keeper.Asynchronous, 1, "a")
		k, err := keeper.New(keeper.Options{
			Service: c.service, Member: "a", Driver: lacking{c.s.members["a"]}, Leases: c.leases("a"), Records: c.record("a"), Timing: c.timing,
			StateFile: filepath.Join(c.dir, "a.json"),
		})
		if err != nil {
			t.Fatal(err)
		}
		r := &running{k: k, stop: func() {}, done: make(chan error, 1)}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { r.done <- k.Run(ctx) }()
		c.run["a"] = r
		time.Sleep(time.Minute)
		if _, err := c.order("a", keeper.Command{Verb: keeper.Promote}); !errors.Is(err, errNoProgram) {
			t.Error(err)
		}
		if s := k.Status(); c.writable("a") || s.Holds || s.Lacks != errNoProgram.Error() {
			t.Errorf("%+v", s)
		}
		cancel()
		<-r.done
	})
}

// A watchdog whose keeper is gone has nothing left to do when the member is gone, too.
func TestWatchEndsWithTheMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &resisting{errs: []error{errors.New("it is busy"), standby.ErrUndelivered}}
		var log bytes.Buffer
		watchGone(t, m, &log)
		if len(m.tried) != 2 {
			t.Errorf("%d attempts", len(m.tried))
		}
	})
}

// haunted says that it is there, and is not: its health is what a file says.
type haunted struct{ *member }

func (h haunted) Health(ctx context.Context) (standby.Health, error) {
	seen, err := h.member.Health(ctx)
	if h.gone() {
		return standby.Health{Running: true, Role: standby.Standby}, nil
	}
	return seen, err
}

func (h haunted) gone() bool {
	defer h.lock()()
	return h.dead
}

func (h haunted) Fence(ctx context.Context, epoch uint64) error {
	if h.gone() {
		unlock := h.lock()
		h.slow++ // counted there
		unlock()
	}
	return h.member.Fence(ctx, epoch)
}

// A member that only seems to be there is not ended again at each look.
func TestAMemberThatIsNotThereIsNotEndedAllTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keeper.Asynchronous, 1, "a")
		ctx, cancel := context.WithCancel(context.Background())
		k, err := keeper.New(keeper.Options{
			Service: c.service, Member: "a", Driver: haunted{c.s.members["a"]}, Leases: c.leases("a"), Records: c.record("a"), Timing: c.timing,
			StateFile: filepath.Join(c.dir, "a.json"), Retake: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(time.Minute)
		if s := k.Status(); s.State != keeper.Leading {
			t.Fatalf("%+v", s)
		}
		c.set("a", (*member).die)
		time.Sleep(time.Minute)
		c.set("a", func(m *member) {
			if m.slow < 5 || m.slow > 35 {
				t.Errorf("it was fenced %d times in a minute", m.slow)
			}
		})
		cancel()
		<-done
	})
}
