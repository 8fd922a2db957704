// Package standbytest is the suite that every driver of standbys must pass, and a service with
// endpoints for tests that need one.
//
//	standbytest.Run(t, func(t *testing.T) (a, b standbytest.Member) { ... })
package standbytest

import (
	"context"
	"errors"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/standby"
)

// Member is one of two members of a service that exists. The suite orders through Driver and
// checks through the functions, which must not go through it.
type Member struct {
	Driver standby.Driver
	Peer   standby.Peer
	// Write tries to write as a client would.
	Write func() error
	// Has tells how many writes the member shows.
	Has func() int
	// Crash ends the member without notice.
	Crash func()
	// Restart starts the member as an init system would, who knows nothing of epochs.
	Restart func()
	// Hang lets the member be there and do nothing; Wake ends that. Both are nil where a fence has to
	// go through the member itself.
	Hang, Wake func()
}

// patience is longer than anything takes: only a broken driver waits for it.
const patience = 2 * time.Minute

// Run runs the suite on a pair: a takes writes, b is its standby.
func Run(t *testing.T, pair func(t *testing.T) (a, b Member)) {
	t.Helper()
	a, b := pair(t)
	s := &suite{T: t}
	s.step("a standby follows and takes no writes", func() {
		s.leads(a)
		s.follows(b, a)
	})
	s.step("an orderly switch", func() {
		s.try("demote", a.Driver.Demote(s.ctx(), 10))
		s.silent(a)
		s.try("demote again", a.Driver.Demote(s.ctx(), 10))
		s.try("promote", b.Driver.Promote(s.ctx(), 11))
		s.leads(b)
		s.try("promote again", b.Driver.Promote(s.ctx(), 11))
		s.leads(b)
	})
	s.step("orders of a tenure that is over", func() {
		s.stale("fence", b.Driver.Fence(s.ctx(), 10))
		s.stale("demote", b.Driver.Demote(s.ctx(), 10))
		s.stale("promote", b.Driver.Promote(s.ctx(), 10))
		s.stale("rejoin", b.Driver.Rejoin(s.ctx(), a.Peer, 10))
		s.leads(b)
	})
	s.step("the old primary follows the new one", func() {
		s.try("rejoin", a.Driver.Rejoin(s.ctx(), b.Peer, 11))
		s.follows(a, b)
		s.try("rejoin again", a.Driver.Rejoin(s.ctx(), b.Peer, 11))
		s.follows(a, b)
	})
	s.step("a primary that crashed takes no writes when somebody starts it", func() {
		b.Crash()
		s.silent(b)
		s.try("fence what is down", b.Driver.Fence(s.ctx(), 11))
		b.Restart()
		s.silent(b)
		s.try("fence what was started", b.Driver.Fence(s.ctx(), 11))
		s.silent(b)
		s.try("fence again", b.Driver.Fence(s.ctx(), 11))
	})
	s.step("the other one takes over and the crashed one follows", func() {
		s.try("promote", a.Driver.Promote(s.ctx(), 12))
		s.leads(a)
		s.try("rejoin", b.Driver.Rejoin(s.ctx(), a.Peer, 12))
		s.follows(b, a)
	})
	if a.Hang != nil {
		s.step("a primary that hangs is fenced, and stays so when it wakes", func() {
			a.Hang()
			s.try("fence", a.Driver.Fence(s.ctx(), 12))
			a.Wake()
			s.silent(a)
			s.try("promote the other", b.Driver.Promote(s.ctx(), 13))
			s.leads(b)
		})
	}
	s.step("calls end with their context", func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Driver.Health(ctx); err == nil {
			t.Error("a look that was cancelled says nothing")
		}
	})
}

type suite struct{ *testing.T }

func (s *suite) step(name string, fn func()) {
	s.Helper()
	if s.Failed() {
		return // the next step builds on this one
	}
	s.Log(name)
	fn()
}

func (s *suite) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	s.Cleanup(cancel)
	return ctx
}

func (s *suite) try(what string, err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

func (s *suite) stale(what string, err error) {
	s.Helper()
	if !errors.Is(err, standby.ErrStale) {
		s.Errorf("%s with a lower epoch: %v", what, err)
	}
}

// leads checks that a member takes writes and says so.
func (s *suite) leads(m Member) {
	s.Helper()
	h, err := m.Driver.Health(s.ctx())
	s.try("look at the primary", err)
	if !h.Running || !h.Writable || h.Role != standby.Primary {
		s.Fatalf("the primary's health is %+v", h)
	}
	s.try("write", m.Write())
}

// silent checks that a member takes no writes and does not claim to.
func (s *suite) silent(m Member) {
	s.Helper()
	if err := m.Write(); err == nil {
		s.Fatal("a write was taken")
	}
	h, err := m.Driver.Health(s.ctx())
	if err == nil && h.Writable {
		s.Fatalf("it says that it takes writes: %+v", h)
	}
}

// follows checks that a member is a standby and shows what is written to its primary.
func (s *suite) follows(m, primary Member) {
	s.Helper()
	s.silent(m)
	s.try("write", primary.Write())
	want := primary.Has()
	s.until("the standby shows the last write", func() bool { return m.Has() >= want })
	h, err := m.Driver.Health(s.ctx())
	s.try("look at the standby", err)
	if !h.Running || h.Writable || h.Role != standby.Standby {
		s.Fatalf("the standby's health is %+v", h)
	}
}

func (s *suite) until(what string, ok func() bool) {
	s.Helper()
	system := clock.System()
	for deadline := system.Now().Add(patience); !ok(); {
		if err := system.Sleep(s.Context(), 10*time.Millisecond); err != nil || system.Now().After(deadline) {
			s.Fatalf("waited in vain until %s", what)
		}
	}
}
