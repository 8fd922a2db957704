package front

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/route"
)

// link is a client that is connected through to a member.
type link struct {
	tenure         route.State
	client, member net.Conn
}

// admit counts a client in as one that waits, unless there are too many.
func (f *Front) admit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Accepted++
	if f.closed || len(f.links)+f.stats.Held >= f.o.MaxConnections || f.stats.Held >= f.o.MaxHeld {
		f.stats.Refused++
		return false
	}
	f.stats.Held++
	return true
}

// serve leads one client through its life.
func (f *Front) serve(ctx context.Context, client net.Conn) {
	stop := context.AfterFunc(ctx, func() { reset(client) })
	defer stop()
	l := f.connect(ctx, client)
	if l == nil {
		reset(client)
		return
	}
	l.pipe()
	f.mu.Lock()
	delete(f.links, l)
	f.mu.Unlock()
}

// connect waits for a tenure and a member that accepts, for Options.Hold at most.
// The client stops waiting when it returns; nil is a client that gets nowhere.
func (f *Front) connect(ctx context.Context, client net.Conn) *link {
	patience := f.o.Clock.NewTimer(f.o.Hold)
	defer patience.Stop()
	for {
		tenure, changed, leading := f.tenure()
		var pause clock.Timer
		var again <-chan time.Time
		if leading {
			member, err := f.dialUnless(ctx, changed, tenure.Target)
			if err == nil {
				if l := f.join(&link{tenure, client, member}); l != nil {
					return l
				}
				reset(member) // the tenure ended while it was dialled
				continue
			}
			pause = f.o.Clock.NewTimer(dialPause)
			again = pause.C()
		}
		gone := false
		select {
		case <-changed:
		case <-again:
		case <-patience.C():
			gone = true
		case <-ctx.Done():
			gone = true
		}
		if pause != nil {
			pause.Stop()
		}
		if gone {
			f.mu.Lock()
			f.stats.Held--
			f.stats.Expired++
			f.mu.Unlock()
			return nil
		}
	}
}

// join makes a link count if its tenure still is the one clients are led to.
func (f *Front) join(l *link) *link {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.over() || f.held.Epoch != l.tenure.Epoch || !f.held.Target.Equal(l.tenure.Target) {
		return nil
	}
	f.stats.Held--
	f.links[l] = struct{}{}
	return l
}

// dialUnless is dial that gives up when changed is closed: a member that is gone
// may not cost the time in which its successor could be reached.
func (f *Front) dialUnless(ctx context.Context, changed <-chan struct{}, t route.Target) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	})
	member, err := f.dial(ctx, t)
	cancel()
	watching.Wait()
	return member, err
}

// dial connects to a member by the first of its addresses that accepts.
func (f *Front) dial(ctx context.Context, t route.Target) (net.Conn, error) {
	dialer := net.Dialer{Timeout: f.o.DialTimeout, KeepAliveConfig: keepAlive()}
	var errs []error
	for _, address := range t.Dialable() {
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// cut breaks the links that match. f.mu is held; closing does not block.
func (f *Front) cut(match func(*link) bool) {
	for l := range f.links {
		if match(l) {
			f.stats.Cut++
			l.cut()
			delete(f.links, l)
		}
	}
}

// shut breaks everything for good.
func (f *Front) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for l := range f.links {
		l.cut()
	}
	f.announce()
}

// pipe copies both ways until both sides have ended. The end of one direction is
// passed on and the other goes on: a client may have said all and still wait for
// the answer. A failure ends both.
func (l *link) pipe() {
	var both sync.WaitGroup
	both.Go(func() { l.copy(l.member, l.client) })
	both.Go(func() { l.copy(l.client, l.member) })
	both.Wait()
	l.client.Close()
	l.member.Close()
}

func (l *link) copy(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		l.cut()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		return
	}
	l.cut()
}

// cut breaks both sides with a reset.
func (l *link) cut() {
	reset(l.client)
	reset(l.member)
}

// reset closes a connection so that the other side notices at once, and drops what
// was not sent yet.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // it is closed by now then
	}
	c.Close()
}
