package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mahavishnu/config"
	"mahavishnu/coordinator/route"
)

// TestRoutesAsConfigured leads clients through a front and by a command at once, and
// refuses a stale epoch in both.
func TestRoutesAsConfigured(t *testing.T) {
	dir := t.TempDir()
	members := map[string]config.FailoverMember{}
	for _, name := range []string{"pg1", "pg2"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(c, name+"\n")
				c.Close()
			}
		}()
		members[name] = config.FailoverMember{Address: l.Addr().String()}
	}
	s := config.FailoverService{Members: members, Routes: config.FailoverRoutes{
		Front: config.FailoverFront{Listen: "127.0.0.1:0"},
		Hook:  config.FailoverHook{Command: []string{os.Args[0], "-test.run=^$"}},
	}}
	r, err := NewRoutes(t.Context(), config.Failover{Lease: config.Lease{Duration: config.Duration(time.Minute)}}, s, RoutesOptions{Service: "orders", DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Front.Run(ctx) }()
	for epoch, name := range []string{1: "pg1", 2: "pg2"} {
		if name == "" {
			continue
		}
		target, err := TargetOf(s, name)
		if err == nil {
			err = r.Router.Point(t.Context(), target, uint64(epoch))
		}
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", r.Front.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != name+"\n" {
			t.Errorf("epoch %d leads to %q: %v", epoch, got, err)
		}
		c.Close()
	}
	stale, _ := TargetOf(s, "pg1")
	if err := r.Router.Point(t.Context(), stale, 1); !errors.Is(err, route.ErrStale) {
		t.Errorf("a stale epoch: %v", err)
	}
	if err := r.Router.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for _, way := range []string{"front", "hook"} {
		if _, err := os.Stat(filepath.Join(dir, fmt.Sprintf("route-%s-orders.json", way))); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if none, err := NewRoutes(t.Context(), config.Failover{}, config.FailoverService{Members: members}, RoutesOptions{}); err != nil || none.Router != nil {
		t.Errorf("no routes: %+v, %v", none, err)
	}
	if _, err := TargetOf(s, "stranger"); err == nil {
		t.Error("a stranger is a target")
	}
	s.Routes.DNS = config.FailoverDNS{Servers: []string{"127.0.0.1"}, Zone: "example.test", Name: "db.example.test", KeyFile: filepath.Join(dir, "missing")}
	if _, err := NewRoutes(t.Context(), config.Failover{}, s, RoutesOptions{Service: "orders", DataDir: dir}); err == nil {
		t.Error("a missing key was not missed")
	}
}
