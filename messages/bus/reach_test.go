package bus_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// lonely starts a server that is one of three of a cluster, of which the others are not
// there: it answers, and decides nothing.
func lonely(t *testing.T) (url string) {
	t.Helper()
	ports, dir := natstest.FreePorts(t, 4), t.TempDir()
	conf := filepath.Join(dir, "lonely.conf")
	text := fmt.Sprintf(`
server_name: lonely
listen: "127.0.0.1:%d"
jetstream: {store_dir: %q}
cluster: {name: c, listen: "127.0.0.1:%d", routes: ["nats://127.0.0.1:%d", "nats://127.0.0.1:%d"], no_advertise: true}
`, ports[0], dir, ports[1], ports[2], ports[3])
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	natstest.StartConfigured(t, &natstest.Configured{Name: "lonely", File: conf})
	return fmt.Sprintf("nats://127.0.0.1:%d", ports[0])
}

// mute is an address that accepts connections and says nothing, as a server that was
// stopped does.
func mute(t *testing.T) (url string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) //nolint:errcheck // nobody was served
	return "nats://" + l.Addr().String()
}

// Whatever ails the servers before it, the one that can answer is found, and the connection
// knows all of them.
func TestReachTriesTheOtherServers(t *testing.T) {
	t.Parallel()
	good := newRig(t).url
	closed := fmt.Sprintf("nats://127.0.0.1:%d", natstest.FreePorts(t, 1)[0])
	for name, first := range map[string]string{"nobody listens": closed, "it says nothing": mute(t), "it has no majority": lonely(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := first + ", " + good
			c, b, err := bus.Reach(t.Context(), bus.Options{URL: list, Name: "test"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close() //nolint:errcheck // it was only read
			if _, err := b.Info(t.Context()); err != nil {
				t.Error(err)
			}
			if known := strings.Join(bus.Pool(c), ","); known != first+","+good {
				t.Errorf("it goes on with %s, want %s", known, list)
			}
		})
	}
}

// A server that is left of three tells of its streams, and still is not with the majority.
func TestReachSeesThatNobodyLeads(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartProcesses(t, 3)
	rigOn(t, cluster.URL(), func(o *bus.ProvisionOptions) { o.Replicas = 3 })
	names := cluster.Names()
	cluster.Kill(names[1])
	cluster.Kill(names[2])
	for deadline := time.Now().Add(2 * time.Minute); ; {
		c, b, err := bus.Reach(t.Context(), bus.Options{URL: cluster.URL(), Name: "test", Patience: time.Second})
		if c == nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		switch {
		case err == nil && b == nil, err != nil && !bus.Unanswered(err):
			t.Fatalf("%v, %v", b, err)
		case err != nil && strings.Contains(err.Error(), "no server leads it") && strings.Contains(strings.Join(fault.Hints(err), " "), "not with the majority"):
			return
		case time.Now().After(deadline):
			t.Fatalf("it never saw it: %v", err)
		}
	}
}

// With nobody who has the majority, what is not stored can still be heard.
func TestReachWithoutAMajority(t *testing.T) {
	t.Parallel()
	alone := lonely(t)
	for name, list := range map[string]string{"one server": alone, "one of two": fmt.Sprintf("nats://127.0.0.1:%d,%s", natstest.FreePorts(t, 1)[0], alone)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, b, err := bus.Reach(t.Context(), bus.Options{URL: list, Name: "test", Patience: time.Second})
			if b != nil || c == nil || !bus.Unanswered(err) {
				t.Fatalf("%v, %v, %v", c, b, err)
			}
			defer c.Close() //nolint:errcheck // it was only read
			if replies, err := c.AskCoordinators(t.Context(), messages.ControlRequest{Verb: messages.VerbStatus}, 1, time.Second); err != nil || len(replies) != 0 {
				t.Errorf("%v, %v", replies, err)
			}
		})
	}
	if c, b, err := bus.Reach(t.Context(), bus.Options{URL: fmt.Sprintf("nats://127.0.0.1:%d,nats://user:secret@127.0.0.1:%d", natstest.FreePorts(t, 1)[0], natstest.FreePorts(t, 1)[0]), Name: "test"}); c != nil || b != nil || err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("with nobody there: %v, %v, %v", c, b, err)
	}
}

// What another server would answer alike ends it at once.
func TestReachIsToldThatNothingIsThere(t *testing.T) {
	t.Parallel()
	empty := natstest.Start(t).ClientURL()
	if c, b, err := bus.Reach(t.Context(), bus.Options{URL: empty + "," + empty, Name: "test"}); c != nil || b != nil || !errors.Is(err, bus.ErrNotProvisioned) {
		t.Errorf("%v, %v, %v", c, b, err)
	}
}
