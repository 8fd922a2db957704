//go:build !windows

package keeper_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
	"mahavishnu/lab/wire"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
	"mahavishnu/postgres/pgtest"
)

const (
	// runsEnv is how often each fault is tried on the pair of databases.
	runsEnv = "MAHAVISHNU_FAULT_RUNS"
	lease   = 2 * time.Second
)

// node is a machine: a database, its keeper, and its wire.
type node struct {
	*pgtest.Member
	name string
	wire *wire.Wire
	job  job
	k    *proc
}

// lay lays the wire between a node and the servers.
func lay(t *testing.T, url string) *wire.Wire {
	t.Helper()
	w, err := wire.To(strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// trial is a pair of nodes with a client that writes numbered rows.
type trial struct {
	t     *testing.T
	nodes map[string]*node
	epoch uint64

	mu    sync.Mutex
	acked []int64
	next  int64
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	server := natstest.Start(t)
	conn, err := bus.Connect(t.Context(), bus.Options{URL: server.ClientURL(), Name: "provision"})
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Provision(t.Context(), conn, bus.ProvisionOptions{Regions: []string{"eu-west-1"}}); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	g := pgtest.New(t)
	a := g.Primary("a")
	a.Exec("CREATE TABLE rows (n bigint PRIMARY KEY)")
	tr := &trial{t: t, nodes: map[string]*node{}, epoch: 1}
	dir := t.TempDir()
	for _, m := range []*pgtest.Member{a, g.Standby("b", a)} {
		o := m.Options
		n := &node{Member: m, name: o.Name, wire: lay(t, server.ClientURL())}
		n.job = job{
			URL: "nats://" + n.wire.Addr(), Member: o.Name, State: filepath.Join(dir, o.Name+".json"),
			Mode: keeper.Synchronous, Lease: lease, Spec: standby.Spec{Postgres: &o},
		}
		n.k = startKeeper(t, n.job)
		t.Cleanup(func() { n.k.end() })
		tr.nodes[o.Name] = n
	}
	return tr
}

func (tr *trial) status(n *node) keeper.Status {
	ctx, cancel := context.WithTimeout(tr.t.Context(), time.Second)
	defer cancel()
	l, err := n.k.ask(ctx, nil)
	if err != nil {
		return keeper.Status{State: "unknown", Reason: err.Error()}
	}
	return l.Status
}

// order gives a command of the coordinator, again and again until it is done.
func (tr *trial) order(n *node, c keeper.Command) keeper.Answer {
	tr.t.Helper()
	tr.epoch++
	c.Epoch = tr.epoch
	var last error
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(tr.t.Context(), time.Minute)
		l, err := n.k.ask(ctx, &c)
		cancel()
		if err == nil {
			return l.Answer
		}
		last = err
		time.Sleep(250 * time.Millisecond)
	}
	for name, n := range tr.nodes {
		tr.t.Logf("%s: %+v", name, tr.status(n))
	}
	tr.t.Fatalf("%s %s: %v", c.Verb, n.name, last)
	return keeper.Answer{}
}

// ready waits until one leads and the other has everything.
func (tr *trial) ready() (leader, other *node) {
	tr.t.Helper()
	pgtest.Until(tr.t, "one leads and the other is secured", func() bool {
		for _, n := range tr.nodes {
			if s := tr.status(n); s.State == keeper.Leading && len(s.Secured) == 1 {
				leader, other = n, tr.nodes[s.Secured[0]]
				return true
			}
		}
		return false
	})
	return leader, other
}

// client writes rows wherever it can until ctx ends.
func (tr *trial) client(ctx context.Context) {
	for ctx.Err() == nil {
		for _, n := range tr.nodes {
			tr.writeTo(ctx, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (tr *trial) writeTo(ctx context.Context, n *node) {
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := pgx.Connect(soon, n.URL())
	if err != nil {
		return
	}
	defer conn.Close(context.Background())
	for ctx.Err() == nil {
		tr.mu.Lock()
		tr.next++
		row := tr.next
		tr.mu.Unlock()
		soon, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := conn.Exec(soon, "INSERT INTO rows VALUES ($1)", row)
		cancel()
		if err != nil {
			return
		}
		tr.mu.Lock()
		tr.acked = append(tr.acked, row)
		tr.mu.Unlock()
	}
}

// missing returns the acknowledged rows that a database lacks.
func (tr *trial) missing(n *node) []int64 {
	tr.t.Helper()
	tr.mu.Lock()
	acked := slices.Clone(tr.acked) // more come while it is looked
	tr.mu.Unlock()
	conn := n.Connect()
	defer conn.Close(context.Background())
	rows, err := conn.Query(tr.t.Context(), "SELECT n FROM rows")
	if err != nil {
		tr.t.Fatal(err)
	}
	have := map[int64]bool{}
	var row int64
	if _, err := pgx.ForEachRow(rows, []any{&row}, func() error { have[row] = true; return nil }); err != nil {
		tr.t.Fatal(err)
	}
	var lost []int64
	for _, row := range acked {
		if !have[row] {
			lost = append(lost, row)
		}
	}
	return lost
}

// writable asks a database itself, with a connection of its own.
func writable(n *node) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.URL())
	if err != nil {
		return false
	}
	defer conn.Close(context.Background())
	var standby bool
	return conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby) == nil && !standby
}

// faults are what happens to a primary, and what ends it.
var faults = []struct {
	name  string
	harm  func(n *node)
	after func(t *testing.T, n *node)
}{
	{"the database killed", func(n *node) { n.Kill() }, func(*testing.T, *node) {}},
	{"the database frozen, woken later", func(n *node) { n.Freeze() }, func(_ *testing.T, n *node) { n.Thaw() }},
	{"its first process frozen, connections at work", func(n *node) { n.FreezePostmaster() }, func(_ *testing.T, n *node) { n.Thaw() }},
	{"the keeper killed", func(n *node) { n.k.kill() }, func(t *testing.T, n *node) { n.k = startKeeper(t, n.job) }},
	{"the keeper frozen, woken later", func(n *node) { n.k.signal(syscall.SIGSTOP) }, func(_ *testing.T, n *node) { n.k.signal(syscall.SIGCONT) }},
	{"the wire to the servers cut", func(n *node) { n.wire.Cut() }, func(_ *testing.T, n *node) { n.wire.Mend() }},
	{"the keeper and the database killed", func(n *node) { n.k.kill(); n.Kill() }, func(t *testing.T, n *node) { n.k = startKeeper(t, n.job) }},
}

// TestDatabasesThroughFaults harms the primary of a pair of databases in every way while a client
// writes numbered rows, and lets the other take over at once. No acknowledged row may be missing, and the
// old primary never takes a write once the new one has.
func TestDatabasesThroughFaults(t *testing.T) {
	t.Parallel()
	runs := 1
	if text := os.Getenv(runsEnv); text != "" {
		var err error
		if runs, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	tr := newTrial(t)
	ctx, cancel := context.WithCancel(t.Context())
	writing := make(chan struct{})
	go func() { defer close(writing); tr.client(ctx) }()
	defer func() { cancel(); <-writing }()

	took := map[string][]time.Duration{}
	last := uint64(0)
	for range runs {
		for _, f := range faults {
			leader, other := tr.ready()
			tr.mu.Lock()
			before := len(tr.acked)
			tr.mu.Unlock()
			pgtest.Until(t, "the client writes", func() bool { tr.mu.Lock(); defer tr.mu.Unlock(); return len(tr.acked) > before+20 })

			start := time.Now()
			f.harm(leader)
			answer := tr.order(other, keeper.Command{Verb: keeper.Promote})
			took[f.name] = append(took[f.name], time.Since(start))
			if answer.Epoch <= last {
				t.Errorf("%s: epoch %d after %d", f.name, answer.Epoch, last)
			}
			last = answer.Epoch
			if writable(leader) {
				t.Fatalf("%s: %s takes writes while %s does", f.name, leader.name, other.name)
			}
			f.after(t, leader)
			for range 5 {
				if writable(leader) {
					t.Fatalf("%s: %s takes writes when it is back", f.name, leader.name)
				}
				time.Sleep(50 * time.Millisecond)
			}
			if lost := tr.missing(other); len(lost) > 0 {
				t.Fatalf("%s: %d acknowledged rows are lost: %v", f.name, len(lost), lost[:min(len(lost), 10)])
			}
			p := other.Peer()
			tr.order(leader, keeper.Command{Verb: keeper.Rejoin, Primary: standby.Peer{Name: p.Name, Host: p.Host, Port: p.Port}})
		}
	}
	tr.report(took)
}

// report tells how long it took from the fault until the standby took writes, when the order
// to promote came at once: what detection takes is not in it.
func (tr *trial) report(took map[string][]time.Duration) {
	var b strings.Builder
	tr.mu.Lock()
	acked := len(tr.acked)
	tr.mu.Unlock()
	fmt.Fprintf(&b, "%d rows acknowledged, none lost. From the fault to a standby that takes writes, lease %v:\n", acked, lease)
	fmt.Fprintf(&b, "%-48s %5s %9s %9s %9s\n", "", "runs", "median", "p99", "worst")
	for _, f := range faults {
		all := slices.Sorted(slices.Values(took[f.name]))
		if len(all) == 0 {
			continue
		}
		at := func(share float64) time.Duration {
			return all[min(int(share*float64(len(all))), len(all)-1)].Round(time.Millisecond)
		}
		fmt.Fprintf(&b, "%-48s %5d %9v %9v %9v\n", f.name, len(all), at(0.5), at(0.99), all[len(all)-1].Round(time.Millisecond))
	}
	io.WriteString(tr.t.Output(), b.String())
}
