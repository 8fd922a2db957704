package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/postgres/pgtest"
)

// trio is three machines with a PostgreSQL pair.
type trio struct {
	*three
	a, b *pgtest.Member
}

func newTrio(t *testing.T) *trio {
	t.Helper()
	g := pgtest.New(t)
	x := &trio{a: g.Primary("a")}
	x.b = g.Standby("b", x.a)
	member := func(node string, m *pgtest.Member) string {
		o := m.Options
		return fmt.Sprintf("{node: %s, region: %s, address: \"%s:%d\", postgres: {bin_dir: %q, data_dir: %q, admin: %q, replication: %q, run_as: %q}}",
			node, node[:2], o.Host, o.Port, o.BinDir, o.DataDir, o.Admin.User, o.Replication.User, o.RunAs)
	}
	x.three = newThree(t, "postgres", member("eu-1", x.a), member("us-1", x.b))
	x.until("a coordinator leads", func() bool { return x.leader() != "" })
	x.a.Exec("CREATE TABLE orders (n int)")
	x.a.Exec("INSERT INTO orders VALUES (1)")
	x.until("the standby has it", func() bool { return x.b.Try("SELECT 1 / count(*) FROM orders") == nil }) // no write waits for it
	return x
}

// leader is who holds the lease of the coordinators; nobody at first.
func (x *trio) leader() string {
	lease, err := x.bus.Leases().Get(x.t.Context(), messages.LeaseCoordinator)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		x.t.Fatal(err)
	}
	return lease.Holder
}

// The primary's machine dies with everything on it; its server freezes; its keeper is
// killed, which leaves the server to the watchdog: each time the standby takes over
// with what it had received, and the old primary takes no more writes.
func TestAPrimaryIsReplaced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		hurt func(x *trio)
	}{
		{"its machine dies", func(x *trio) { x.all["eu-1"].Kill(); x.a.Kill() }},
		{"its server freezes", func(x *trio) { x.a.Freeze() }},
		{"its keeper is killed", func(x *trio) { x.all["eu-1"].Kill() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := newTrio(t)
			led, began := x.leader(), time.Now()
			c.hurt(x)
			x.until("the standby takes writes", func() bool { return x.b.Try("INSERT INTO orders VALUES (2)") == nil })
			t.Logf("%s led; the standby took a write %v later", led, time.Since(began))
			if n := x.b.Text("SELECT count(*)::text FROM orders"); n != "2" {
				t.Errorf("%s rows, want 2", n)
			}
			if x.a.Postmaster() != 0 && x.a.Try("INSERT INTO orders VALUES (3)") == nil {
				t.Error("the old primary took a write as well")
			}
			x.until("its keeper says so", func() bool {
				b := x.says("b")
				return b.Holds && b.Writable && b.Role == "primary"
			})
			x.until("the plan is finished", func() bool {
				return strings.Contains(x.must("failover", "journal", "--json", "--config", x.path("us-1")), `"committed"`)
			})
			out := x.must("failover", "status", "--config", x.path("us-1"))
			if !strings.Contains(out, "service-orders") || !strings.Contains(out, "primary") {
				t.Errorf("failover status:\n%s", out)
			}
			out = x.must("failover", "journal", "--config", x.path("us-1"))
			if !strings.Contains(out, "single_server_failure") {
				t.Errorf("failover journal:\n%s", out)
			}
		})
	}
}
