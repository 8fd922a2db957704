package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/postgres/pgtest"
)

// trio is three machines in three regions: two with a member of a PostgreSQL pair, and
// a witness that runs the queue.
type trio struct {
	*system
	a, b *pgtest.Member
	bus  *bus.Bus
	all  map[string]*running
}

func newTrio(t *testing.T) *trio {
	t.Helper()
	g := pgtest.New(t)
	x := &trio{system: newSystem(t, t.TempDir(), ""), all: map[string]*running{}}
	x.a = g.Primary("a")
	x.b = g.Standby("b", x.a)
	x.all["ap-1"] = x.start("ap-1", "up", "--config", x.machine("ap-1", ""))
	x.until("the queue's address", func() bool {
		x.all["ap-1"].alive()
		text, err := os.ReadFile(filepath.Join(x.dir, "ap-1", "nats.url"))
		x.queue = strings.TrimSpace(string(text))
		return err == nil && x.queue != ""
	})
	x.bus = x.bind(x.all["ap-1"])
	for _, node := range []string{"eu-1", "us-1"} {
		x.all[node] = x.start(node, "coordinator", "--config", x.machine(node, x.queue))
	}
	x.until("the primary is kept and its standby follows", func() bool {
		a, b := x.member("a"), x.member("b")
		return a.Holds && a.Writable && b.Healthy && b.Role == "standby"
	})
	x.until("a coordinator leads", func() bool { return x.leader() != "" })
	x.a.Exec("CREATE TABLE orders (n int)")
	x.a.Exec("INSERT INTO orders VALUES (1)")
	x.until("the standby has it", func() bool { return x.b.Try("SELECT 1 / count(*) FROM orders") == nil }) // no write waits for it
	return x
}

// machine writes the configuration of one of them.
func (x *trio) machine(node, url string) string {
	x.t.Helper()
	member := func(node string, m *pgtest.Member) string {
		o := m.Options
		return fmt.Sprintf("{node: %s, region: %s, address: \"%s:%d\", postgres: {bin_dir: %q, data_dir: %q, admin: %q, replication: %q, run_as: %q}}",
			node, node[:2], o.Host, o.Port, o.BinDir, o.DataDir, o.Admin.User, o.Replication.User, o.RunAs)
	}
	queue := "listen: 127.0.0.1:0"
	if url != "" {
		queue = fmt.Sprintf("url: %q, replicas: 1", url)
	}
	text := fmt.Sprintf(`
backup: {storage: {local: {path: %q}}, encryption: {key_path: %q}}
regions: [eu, us, ap]
node: {name: %s, region: %s, data_dir: %q, listen: "", log_format: json}
nats: {%s}
failover:
  coordinators: [{node: eu-1, region: eu}, {node: us-1, region: us}, {node: ap-1, region: ap}]
  services:
    orders:
      kind: postgres
      members:
        a: %s
        b: %s
`, x.access.Location, x.access.KeyPath, node, node[:2], filepath.Join(x.dir, node), queue, member("eu-1", x.a), member("us-1", x.b))
	path := filepath.Join(x.dir, node+".yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
	return path
}

// member is what a member's keeper says.
func (x *trio) member(name string) messages.MemberState {
	x.t.Helper()
	reply, err := x.bus.CommandMember(x.t.Context(), messages.MemberCommand{Verb: messages.VerbStatus, Service: "orders", Member: name})
	if err != nil && !errors.Is(err, bus.ErrNobody) {
		x.t.Fatal(err)
	}
	return reply.State
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
				b := x.member("b")
				return b.Holds && b.Writable && b.Role == "primary"
			})
			x.until("the plan is finished", func() bool {
				return strings.Contains(x.must("failover", "journal", "--json", "--config", filepath.Join(x.dir, "us-1.yml")), `"committed"`)
			})
			out := x.must("failover", "status", "--config", filepath.Join(x.dir, "us-1.yml"))
			if !strings.Contains(out, "service-orders") || !strings.Contains(out, "primary") {
				t.Errorf("failover status:\n%s", out)
			}
			out = x.must("failover", "journal", "--config", filepath.Join(x.dir, "us-1.yml"))
			if !strings.Contains(out, "single_server_failure") {
				t.Errorf("failover journal:\n%s", out)
			}
		})
	}
}
