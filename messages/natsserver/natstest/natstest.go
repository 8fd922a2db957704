// Package natstest runs real NATS servers for tests: one, a cluster inside
// the test process, or a cluster of processes that can be killed with SIGKILL.
//
// Servers flush once a second instead of at every write: tests end processes,
// not machines.
package natstest

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/messages/natsserver"
)

const (
	syncInterval = time.Second
	clusterName  = "test"
)

// Start runs one server in a temporary directory until the test ends.
func Start(t testing.TB) *natsserver.Server {
	t.Helper()
	return StartIn(t, t.TempDir(), -1)
}

// StartIn runs one server on a port over a directory until the test ends; a
// test that restarts it shuts it down itself first.
func StartIn(t testing.TB, dir string, port int) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(natsserver.Options{StoreDir: dir, Port: port, SyncInterval: syncInterval, MaxStore: 4 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// freePorts returns ports that nobody listens on just now. They are held
// together until all are known, so that none comes twice.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// waitFor polls until ok, or fails the test after a minute.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	system := clock.System()
	for deadline := system.Now().Add(time.Minute); !ok(); {
		if err := system.Sleep(context.Background(), 20*time.Millisecond); err != nil || system.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}
