package coordinator

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/coordinator/probe"
	"mahavishnu/coordinator/vote"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer runs a NATS server with the streams of a system, and returns where.
func startServer(t testing.TB) string {
	t.Helper()
	s, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), Port: -1, SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	conn := connect(t, s.ClientURL())
	if err := bus.Provision(t.Context(), conn, bus.ProvisionOptions{Regions: []string{"eu", "us", "ap"}}); err != nil {
		t.Fatal(err)
	}
	return s.ClientURL()
}

func connect(t testing.TB, url string) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{URL: url, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func bind(t testing.TB, url string) *bus.Bus {
	t.Helper()
	b, err := bus.Bind(t.Context(), connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs a coordinator on a connection of its own until the test ends or stop is
// called.
func run(t testing.TB, b *bus.Bus, o Options) (c *Coordinator, stop func()) {
	t.Helper()
	o.Connect(b)
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(ctx) //nolint:errcheck // it ends with its context
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return c, stop
}

// until waits for something that must come to be.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for range 3000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came to be: %s", what)
}

// heart beats for a node until it is stopped.
func heart(t testing.TB, b *bus.Bus, h messages.Heartbeat, every time.Duration) (stop func()) {
	t.Helper()
	h.IntervalMillis, h.Started = every.Milliseconds(), time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			h.Sequence++
			if err := b.PublishHeartbeat(h); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

// listener is a service that can be killed.
func listener(t testing.TB) (address string, kill func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	kill = sync.OnceFunc(func() { l.Close(); <-ended })
	t.Cleanup(kill)
	return l.Addr().String(), kill
}

// Three coordinators on a real server agree on a death, one of them reacts, people
// are told; and one that is left alone decides nothing.
func TestCoordinatorsAgreeOverNATS(t *testing.T) {
	url := startServer(t)
	me := bind(t, url)
	addressA, kill := listener(t)
	addressB, _ := listener(t)
	services := []Service{{Name: "db", Kind: "command", Members: []Member{
		{Name: "a", Node: "db-a", Region: "eu", Address: addressA, Probe: probe.TCP(addressA)},
		{Name: "b", Node: "db-b", Region: "us", Address: addressB, Probe: probe.TCP(addressB)},
	}}}
	voters := []vote.Voter{{Name: "eu-1", Region: "eu"}, {Name: "us-1", Region: "us"}, {Name: "ap-1", Region: "ap"}}
	acts := &noting{}
	all, stops := map[string]*Coordinator{}, map[string]func(){}
	for _, v := range voters {
		all[v.Name], stops[v.Name] = run(t, bind(t, url), Options{
			Node: v.Name, Region: v.Region, Voters: voters, Services: services, Heartbeat: 100 * time.Millisecond,
			Timing: messages.TimingFor(2 * time.Second), Reactor: acts,
		})
	}
	stopA := heart(t, me, messages.Heartbeat{Node: "db-a", Region: "eu", Members: []messages.MemberState{{Service: "db", Member: "a", Healthy: true, Role: "primary"}}}, 100*time.Millisecond)
	heart(t, me, messages.Heartbeat{Node: "db-b", Region: "us"}, 100*time.Millisecond)
	until(t, "one leads and sees both nodes", func() bool {
		s := acts.last()
		return s.Epoch > 0 && len(leader(all).Status().Nodes) == 2
	})
	if len(acts.last().Status.Services) != 1 {
		t.Errorf("the reactor saw %+v", acts.last())
	}

	// The service dies; its node and keeper live and say that it is well: nobody is
	// down. Then the node dies too.
	kill()
	target := MemberTarget("db", "a")
	until(t, "the member is suspected", func() bool { return all["us-1"].Verdict(target).State == vote.Suspect })
	stopA()
	until(t, "everybody holds it down", func() bool {
		for _, c := range all {
			if c.Verdict(target).State != vote.Down || c.Verdict(NodeTarget("db-a")).State != vote.Down {
				return false
			}
		}
		return true
	})
	until(t, "the reactor sees it", func() bool {
		for _, m := range acts.last().Status.Services[0].Members {
			if m.Member == "a" {
				return m.Verdict == "down" && m.Keeper != nil && m.KeeperSilentMillis > 0
			}
		}
		return false
	})
	checkEvent(t, me, target)
	checkAnswers(t, me)

	// Everybody but one stops: that one is the minority.
	lead := leader(all)
	left := "eu-1"
	if all[left] == lead {
		left = "us-1"
	}
	for name, stop := range stops {
		if name != left {
			stop()
		}
	}
	until(t, "the one that is left is in the minority and does not lead", func() bool {
		return !all[left].Quorum().Have && all[left].Status().Epoch == 0
	})
	if s := all[left].Status(); s.Services[0].Members[0].Verdict != "unknown" {
		t.Errorf("alone it judges: %+v", s)
	}
}

// hanging is a reactor whose work hangs.
type hanging struct {
	noting
	hung, wakes chan struct{}
	once        sync.Once
}

func (h *hanging) React(ctx context.Context, s Situation) error {
	h.once.Do(func() { close(h.hung) })
	<-h.wakes
	return h.noting.React(ctx, s)
}

func (h *hanging) Alive() bool {
	select {
	case <-h.hung:
		return false
	default:
		return true
	}
}

// A leader whose work hangs does not go on leading, and somebody else does.
func TestALeaderThatHangsIsFollowedByAnother(t *testing.T) {
	url := startServer(t)
	voters := []vote.Voter{{Name: "eu-1", Region: "eu"}, {Name: "us-1", Region: "us"}, {Name: "ap-1", Region: "ap"}}
	h := &hanging{hung: make(chan struct{}), wakes: make(chan struct{})}
	all := map[string]*Coordinator{}
	start := func(v vote.Voter, r Reactor) {
		all[v.Name], _ = run(t, bind(t, url), Options{
			Node: v.Name, Region: v.Region, Voters: voters, Heartbeat: 100 * time.Millisecond,
			Timing: messages.TimingFor(2 * time.Second), Reactor: r,
		})
	}
	start(voters[0], h)
	acts := &noting{}
	var others sync.Once
	until(t, "the first one leads, and hangs", func() bool {
		select {
		case <-h.hung:
			return true
		default:
			// It needs the others to be no minority.
			others.Do(func() { start(voters[1], h) })
			return false
		}
	})
	start(voters[2], acts)
	until(t, "another one leads, and the first one says that it does not", func() bool {
		return acts.last().Epoch > 0 && all["eu-1"].Status().Epoch == 0 && all["us-1"].Status().Epoch == 0
	})
	close(h.wakes)
}

func leader(all map[string]*Coordinator) *Coordinator {
	for _, c := range all {
		if c.Status().Epoch > 0 {
			return c
		}
	}
	for _, c := range all {
		return c
	}
	return nil
}

// checkEvent finds the event of a death among those that are stored.
func checkEvent(t *testing.T, b *bus.Bus, target string) {
	t.Helper()
	var found messages.Event
	until(t, "an event tells of it", func() bool {
		err := b.ReadEvents(t.Context(), bus.EventFilter{Kind: messages.EventVerdict, Outcome: messages.OutcomeDown}, func(m bus.EventMessage) error {
			if m.Source == target {
				found = m.Event
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return found.ID != ""
	})
	if found.Region != "eu" || found.Error == "" {
		t.Errorf("the event is %+v", found)
	}
}

// checkAnswers asks everybody for the status.
func checkAnswers(t *testing.T, b *bus.Bus) {
	t.Helper()
	replies, err := b.AskCoordinators(t.Context(), messages.ControlRequest{Verb: messages.VerbStatus}, 3, 20*time.Second)
	if err != nil || len(replies) != 3 {
		t.Fatalf("%d answers, %v", len(replies), err)
	}
	for _, r := range replies {
		s, err := messages.DecodeCoordinatorStatus(r.Data)
		if err != nil || !r.OK || len(s.Quorum.Voters) != 3 || len(s.Services) != 1 {
			t.Errorf("%v: %+v", err, s)
		}
	}
	replies, err = b.AskCoordinators(t.Context(), messages.ControlRequest{Verb: messages.VerbCancel}, 3, 20*time.Second)
	if err != nil || len(replies) != 3 || replies[0].OK || replies[0].Message == "" {
		t.Errorf("a verb that coordinators do not know: %+v, %v", replies, err)
	}
}

// noting is a reactor that notes the last situation.
type noting struct {
	mu sync.Mutex
	s  Situation
}

func (n *noting) React(_ context.Context, s Situation) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.s = s
	return nil
}

func (n *noting) last() Situation {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.s
}
