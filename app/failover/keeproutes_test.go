package failover

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/route/named"
	"mahavishnu/messages"
)

// swift is a clock that runs a hundred times as fast.
type swift struct {
	clock.Clock
	began time.Time
}

const swiftness = 100

func (s swift) Now() time.Time { return s.began.Add(swiftness * s.Clock.Now().Sub(s.began)) }
func (s swift) Sleep(ctx context.Context, d time.Duration) error {
	return s.Clock.Sleep(ctx, d/swiftness)
}

// seer is a coordinator that sees what it is told.
type seer struct{ messages.CoordinatorStatus }

func (s *seer) Status() messages.CoordinatorStatus { return s.CoordinatorStatus }
func (*seer) Reacting(string)                      {}

// Clients are led to where they belong while this coordinator leads, by a real name server:
// when a service has its first primary, and when the server comes back with what it had before.
func TestRoutesAreKept(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	serve := func() *named.Server {
		t.Helper()
		s, err := named.Start(t.Context(), named.Options{Dir: t.TempDir(), Address: address, Zone: "ha.test", Keys: []named.Key{{
			Name: "k", Algorithm: "hmac-sha256", Secret: "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAwMDE=",
			Grants: []string{"name db.ha.test A AAAA", "name _epoch.db.ha.test TXT"},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		return s
	}
	server := serve()
	service := config.FailoverService{
		Members: map[string]config.FailoverMember{"a": {Address: "192.0.2.1:5432"}, "b": {Address: "192.0.2.2:5432"}},
		Routes:  config.FailoverRoutes{DNS: config.FailoverDNS{Servers: []string{address}, Zone: "ha.test", Name: "db.ha.test", KeyFile: server.KeyFile("k")}},
	}
	cfg := &config.Config{Failover: config.Failover{Services: map[string]config.FailoverService{"db": service}}}
	routes, err := NewRoutes(t.Context(), cfg.Failover, service, RoutesOptions{Service: "db", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := messages.MemberStatus{Member: "b", Keeper: &messages.MemberState{Holds: true, Writable: true, Tenure: 42}}
	sees := &seer{messages.CoordinatorStatus{Quorum: messages.QuorumStatus{Have: true}, Services: []messages.ServiceStatus{{Service: "db", Members: []messages.MemberStatus{b}}}}}
	p := &Planner{
		cfg: cfg, routes: map[string]Routes{"db": routes}, eyes: sees, log: zerolog.Nop(), clock: swift{clock.System(), time.Now()},
		leases: newLeaseViews(nil, messages.TimingFor(time.Hour), clock.System()),
	}
	p.leases.views["db"] = leaseSeen{LeaseValue: messages.LeaseValue{Holder: "b"}, revision: 1, changed: time.Now()}

	if _, _, ok := p.belong("db"); ok {
		t.Error("a coordinator that does not lead has a say")
	}
	sees.Epoch = 7
	for name, broken := range map[string]messages.MemberState{"takes no writes": {Holds: true}, "does not hold the lease": {Writable: true}} {
		b.Keeper, broken.Tenure = &broken, 42
		sees.Services[0].Members[0] = b
		if _, _, ok := p.belong("db"); ok {
			t.Errorf("clients belong with a member that %s", name)
		}
	}
	b.Keeper = &messages.MemberState{Holds: true, Writable: true, Tenure: 42}
	sees.Services[0].Members[0] = b

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.keepRoutes(ctx, "db") }()
	led := func(what string) {
		t.Helper()
		comes(t, what, func() bool {
			found, err := server.Resolver().LookupNetIP(t.Context(), "ip4", "db.ha.test.")
			return err == nil && len(found) == 1 && found[0].String() == "192.0.2.2"
		})
	}
	led("clients are led to the first primary")
	server.Stop()
	server = serve() // from a backup of before
	led("clients are led there again")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
