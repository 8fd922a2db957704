package front_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/coordinator/route"
	"mahavishnu/coordinator/route/front"
	"mahavishnu/coordinator/route/routetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// member is a server that says its name, then repeats each line it gets; on the
// end of what a client says it says "bye" and ends.
type member struct {
	net.Listener
	target route.Target
	mu     sync.Mutex
	conns  map[net.Conn]bool
}

func startMember(t *testing.T, name string) *member { return startMemberAt(t, name, "127.0.0.1:0") }

func startMemberAt(t *testing.T, name, address string) *member {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	m := &member{Listener: l, target: route.Target{Member: name, Addresses: []netip.Addr{at.Addr()}, Port: at.Port()}, conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.conns[c] = true
			m.mu.Unlock()
			all.Go(func() { m.talk(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		m.mu.Lock()
		for c := range m.conns {
			c.Close()
		}
		m.mu.Unlock()
		all.Wait()
	})
	return m
}

func (m *member) talk(c net.Conn) {
	defer c.Close()
	if _, err := io.WriteString(c, m.target.Member+"\n"); err != nil {
		return
	}
	if _, err := io.Copy(c, c); err == nil {
		io.WriteString(c, "bye\n") //nolint:errcheck // the client sees whether it came
	}
}

type client struct {
	t *testing.T
	*net.TCPConn
	r *bufio.Reader
}

func connect(t *testing.T, f *front.Front) *client {
	t.Helper()
	c, err := net.Dial("tcp", f.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c.(*net.TCPConn), bufio.NewReader(c)}
}

func (c *client) hears(want string) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // the read would tell
	if got, err := c.r.ReadString('\n'); err != nil || got != want+"\n" {
		c.t.Fatalf("heard %q instead of %q: %v", got, want, err)
	}
}

func (c *client) says(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// broken waits for the connection to be reset, and fails when it lives on.
func (c *client) broken() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // the read would tell
	if _, err := c.r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("the connection was not reset: %v", err)
	}
}

// turnedAway connects where there is no room: the reset may be faster than the
// connection.
func turnedAway(t *testing.T, f *front.Front) {
	t.Helper()
	c, err := net.Dial("tcp", f.Addr().String())
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(&client{t, c.(*net.TCPConn), bufio.NewReader(c)}).broken()
}

func start(t *testing.T, o front.Options) *front.Front {
	t.Helper()
	o.Service, o.Listen = "orders", "127.0.0.1:0"
	f, err := front.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

func point(t *testing.T, f *front.Front, m *member, epoch uint64) {
	t.Helper()
	if err := f.Point(t.Context(), m.target, epoch); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestConformance(t *testing.T) {
	routetest.Run(t, func(t *testing.T) routetest.Subject {
		f := start(t, front.Options{State: route.NewFile(filepath.Join(t.TempDir(), "front.json"))})
		return routetest.Subject{
			Open:    func(*testing.T) route.Router { return f },
			Targets: [2]route.Target{startMember(t, "pg1").target, startMember(t, "pg2").target},
		}
	})
}

func TestSwitchBreaksOldConnections(t *testing.T) {
	one, two := startMember(t, "pg1"), startMember(t, "pg2")
	f := start(t, front.Options{})
	point(t, f, one, 41)
	c := connect(t, f)
	c.hears("pg1")
	c.says("row 1")
	c.hears("row 1")
	point(t, f, one, 41) // a repetition breaks nothing
	c.says("row 2")
	c.hears("row 2")
	point(t, f, two, 42)
	c.broken()
	c = connect(t, f)
	c.hears("pg2")
	if err := f.Point(t.Context(), one.target, 41); !errors.Is(err, route.ErrStale) {
		t.Errorf("a stale epoch: %v", err)
	}
	c.says("row 3")
	c.hears("row 3")
	if s := f.Stats(); s.Epoch != 42 || s.Member != "pg2" || !s.Leading || s.Open != 1 || s.Cut != 1 || s.Switches != 2 || s.Accepted != 2 {
		t.Errorf("figures: %+v", s)
	}
}

func TestFencedPrimaryLosesItsConnections(t *testing.T) {
	one, two := startMember(t, "pg1"), startMember(t, "pg2")
	f := start(t, front.Options{Members: map[string]route.Target{"pg1": one.target, "pg2": two.target}})
	observe(t, f, "pg1", 41)
	c := connect(t, f)
	c.hears("pg1")
	f.Fence(41)
	c.broken()

	waiting := connect(t, f) // between two tenures
	until(t, "a client that waits", func() bool { return f.Stats().Held == 1 })
	if s := f.Stats(); s.Leading || s.Open != 0 {
		t.Errorf("figures: %+v", s)
	}
	if err := f.Observe("pg1", 41); !errors.Is(err, route.ErrStale) {
		t.Errorf("the renewal of a fenced tenure: %v", err)
	}
	observe(t, f, "pg2", 42)
	waiting.hears("pg2")
	observe(t, f, "", 42) // released
	waiting.broken()
	observe(t, f, "pg2", 43)
	connect(t, f).hears("pg2")
	if err := f.Observe("stranger", 44); err == nil {
		t.Error("clients are led to a stranger")
	}
}

func observe(t *testing.T, f *front.Front, holder string, epoch uint64) {
	t.Helper()
	if err := f.Observe(holder, epoch); err != nil {
		t.Fatal(err)
	}
}

// TestHoldsUntilTheMemberAccepts connects while the new primary does not listen
// yet.
func TestHoldsUntilTheMemberAccepts(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := closed.Addr().(*net.TCPAddr).AddrPort()
	closed.Close()
	f := start(t, front.Options{})
	if err := f.Point(t.Context(), route.Target{Member: "pg2", Addresses: []netip.Addr{at.Addr()}, Port: at.Port()}, 42); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(t.Context()); err == nil {
		t.Error("nobody listens, and Check is content")
	}
	c := connect(t, f)
	until(t, "a client that waits", func() bool { return f.Stats().Held == 1 })
	startMemberAt(t, "pg2", at.String())
	c.hears("pg2")
	if err := f.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHoldingIsBounded(t *testing.T) {
	f := start(t, front.Options{Hold: time.Second, MaxHeld: 2})
	for waiting := range 2 {
		defer connect(t, f).broken()
		until(t, "a client that waits", func() bool { return f.Stats().Held == waiting+1 })
	}
	turnedAway(t, f)
	until(t, "a refused client", func() bool { return f.Stats().Refused == 1 })
	until(t, "clients that waited long enough", func() bool { return f.Stats().Expired == 2 })
	if s := f.Stats(); s.Held != 0 || s.Open != 0 {
		t.Errorf("figures: %+v", s)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	one := startMember(t, "pg1")
	f := start(t, front.Options{MaxConnections: 2})
	point(t, f, one, 1)
	a, b := connect(t, f), connect(t, f)
	a.hears("pg1")
	b.hears("pg1")
	turnedAway(t, f)
	a.Close()
	until(t, "room", func() bool { return f.Stats().Open == 1 })
	connect(t, f).hears("pg1")
	b.says("still here")
	b.hears("still here")
}

// TestHalfClosed lets a client say all, end its side and then read the rest.
func TestHalfClosed(t *testing.T) {
	one := startMember(t, "pg1")
	f := start(t, front.Options{})
	point(t, f, one, 1)
	c := connect(t, f)
	c.hears("pg1")
	long := strings.Repeat("x", 1<<20)
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, long+"\n")
		sent <- errors.Join(err, c.CloseWrite())
	}()
	c.hears(long)
	c.hears("bye")
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	until(t, "the end of the connection", func() bool { return f.Stats().Open == 0 })
	if s := f.Stats(); s.Cut != 0 {
		t.Errorf("figures: %+v", s)
	}
}

func TestUnrenewedTenureLapses(t *testing.T) {
	one := startMember(t, "pg1")
	f := start(t, front.Options{Lapse: 2 * time.Second, Members: map[string]route.Target{"pg1": one.target}})
	observe(t, f, "pg1", 41)
	c := connect(t, f)
	c.hears("pg1")
	for range 10 { // renewals keep it
		time.Sleep(300 * time.Millisecond)
		observe(t, f, "pg1", 41)
	}
	if s := f.Stats(); s.Cut != 0 || !s.Leading {
		t.Fatalf("a renewed tenure: %+v", s)
	}
	c.broken()
	waiting := connect(t, f)
	until(t, "a client that waits", func() bool { return f.Stats().Held == 1 })
	observe(t, f, "pg1", 41) // it was renewed after all
	waiting.hears("pg1")
}

// TestRestartRemembersTheEpoch has a front that starts again during a switch: the
// old tenure's last words do not lead it back, and nothing is led by memory alone.
func TestRestartRemembersTheEpoch(t *testing.T) {
	one, two := startMember(t, "pg1"), startMember(t, "pg2")
	file := route.NewFile(filepath.Join(t.TempDir(), "front.json"))
	members := map[string]route.Target{"pg1": one.target, "pg2": two.target}
	start(t, front.Options{State: file, Members: members}).Observe("pg2", 42) //nolint:errcheck // seen below
	f := start(t, front.Options{State: file, Members: members})
	if err := f.Observe("pg1", 41); !errors.Is(err, route.ErrStale) {
		t.Errorf("an old epoch after a restart: %v", err)
	}
	c := connect(t, f)
	until(t, "a client that waits", func() bool { return f.Stats().Held == 1 })
	observe(t, f, "pg2", 42)
	c.hears("pg2")
}

func TestOptionsAreChecked(t *testing.T) {
	ok := route.Target{Member: "pg1", Host: "localhost", Port: 1}
	for what, o := range map[string]front.Options{
		"a member without a port":     {Listen: "127.0.0.1:0", Members: map[string]route.Target{"pg1": {Member: "pg1", Host: "localhost"}}},
		"a member of another name":    {Listen: "127.0.0.1:0", Members: map[string]route.Target{"pg2": ok}},
		"an address nobody can have":  {Listen: "192.0.2.1:1"},
		"no address to listen on":     {Listen: "nonsense"},
		"a member that leads nowhere": {Listen: "127.0.0.1:0", Members: map[string]route.Target{"pg1": {Member: "pg1", Port: 1}}},
	} {
		if f, err := front.New(o); err == nil {
			t.Errorf("%s was accepted: %v", what, f.Addr())
		}
	}
}
