//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"mahavishnu/lab/wire"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver"
	"mahavishnu/messages/natsserver/natstest"
)

const serviceName = "orders"

// world is a whole system with its clients and its onlookers.
type world struct {
	t        *testing.T
	dir      string
	server   *natsserver.Server
	bus      *bus.Bus
	machines []*machine
	history  *history

	nextWrite atomic.Uint64
}

// newWorld starts one, and returns when its service is written to.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), server: natstest.Start(t), history: newHistory()}
	conn, err := bus.Connect(t.Context(), bus.Options{URL: w.server.ClientURL(), Name: "onlooker"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := bus.Provision(t.Context(), conn, bus.ProvisionOptions{Regions: regions}); err != nil {
		t.Fatal(err)
	}
	if w.bus, err = bus.Bind(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	w.make()
	w.watch()
	t.Cleanup(func() {
		for _, m := range w.machines {
			if lost := m.end(); lost > 0 {
				t.Logf("%d watchdogs of %s found no member to stop", lost, m.name)
			}
		}
	})
	for _, m := range w.machines {
		if err := m.start(); err != nil {
			t.Fatal(err)
		}
	}
	w.until("the first primary", func() bool { return w.first() })
	return w
}

var regions = []string{"eu", "us", "ap"}

// settings are those of every machine: as quick as the inequality of leases and a busy
// computer allow.
const settings = `
backup: {storage: {local: {path: %q}}, encryption: {key_path: %q}}
regions: [eu, us, ap]
node: {name: %s, region: %s, data_dir: %q, listen: "", log_format: json}
nats: {url: %q, replicas: 1}
failover:
  heartbeat: 150ms
  recovery: 500ms
  lease: {duration: 1500ms, renew_interval: 200ms, renew_deadline: 900ms, stop_time: 300ms, margin: 100ms}
  plans: %q
  coordinators: [{node: eu-1, region: eu}, {node: us-1, region: us}, {node: ap-1, region: ap}]
  services:
    orders:
      kind: http
      probe_every: 300ms
      probe_timeout: 500ms
      patience: 600ms
      retake: 2s
      routes: {hook: {command: [%q, %q], current: [cat, %q]}}
      members:
%s`

// routeScript leads clients, and refuses what is older than what it did last.
const routeScript = `#!/bin/sh
cd "$1" || exit 1
exec 9>lock
flock 9
found=$(cat epoch)
echo "$MAHAVISHNU_ROUTE_EPOCH $found" >>log
[ "$found" -le "$MAHAVISHNU_ROUTE_EPOCH" ] || exit 5
echo "$MAHAVISHNU_ROUTE_EPOCH" >epoch
echo "epoch=$MAHAVISHNU_ROUTE_EPOCH member=$MAHAVISHNU_ROUTE_MEMBER" >now
`

// make writes down what machines need, and makes their members and wires.
func (w *world) make() {
	w.t.Helper()
	key, route, plans := filepath.Join(w.dir, "key"), filepath.Join(w.dir, "route"), filepath.Join(w.dir, "plans")
	if out, err := exec.Command(mahavishnu, "key", "create", "--key", key).CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	// Nobody is spared for having failed too often.
	often := strings.NewReplacer("at_most: 2", "at_most: 100", "at_most: 3", "at_most: 100", "within: 1h", "within: 1s", "within: 1d", "within: 1s", "quiet: 2m", "quiet: 1ms")
	for _, name := range []string{"single_server_failure.yaml", "rejoin_member.yaml"} {
		plan, err := os.ReadFile(filepath.Join("../../coordinator/plan/shipped", name))
		if err != nil {
			w.t.Fatal(err)
		}
		w.write(filepath.Join(plans, name), often.Replace(string(plan)), 0o600)
	}
	w.write(filepath.Join(route, "run"), routeScript, 0o700)
	w.write(filepath.Join(route, "epoch"), "0\n", 0o600)
	w.write(filepath.Join(route, "now"), "", 0o600)
	for i, region := range regions {
		m := &machine{w: w, name: region + "-1", wire: w.lay(w.server.ClientURL(), "nats://")}
		m.agent = newAgent(w.t, w.dir, string(rune('a'+i)))
		if err := m.agent.boot(); err != nil {
			w.t.Fatal(err)
		}
		m.sight = w.lay(m.agent.server.URL, "http://")
		w.machines = append(w.machines, m)
	}
	for i, m := range w.machines {
		m.config, m.log = filepath.Join(w.dir, m.name+".yml"), filepath.Join(w.dir, m.name+".log")
		w.write(m.config, fmt.Sprintf(settings, filepath.Join(w.dir, "repository"), key, m.name, regions[i], filepath.Join(w.dir, m.name), "nats://"+m.wire.Addr(), plans,
			filepath.Join(route, "run"), route, filepath.Join(route, "now"), w.members(m)), 0o600)
	}
}

// lay lays a wire to what a URL names.
func (w *world) lay(url, scheme string) *wire.Wire {
	w.t.Helper()
	line, err := wire.To(strings.TrimPrefix(url, scheme))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { line.Close() })
	return line
}

// members is how a machine reaches all of them: its own beside it, the others over wires.
func (w *world) members(here *machine) string {
	var text strings.Builder
	for i, m := range w.machines {
		address := m.sight.Addr()
		if m == here {
			address = strings.TrimPrefix(m.agent.server.URL, "http://")
		}
		fmt.Fprintf(&text, "        %s: {node: %s, region: %s, address: \"http://%s\"}\n", m.agent.name, m.name, regions[i], address)
	}
	return text.String()
}

func (w *world) write(path, text string, mode os.FileMode) {
	w.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
		w.t.Fatal(err)
	}
}

// watch follows leases and plans, and lets clients write, until the test ends.
func (w *world) watch() {
	store, err := w.bus.Store(messages.BucketLeases)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			if err := store.Watch(ctx, "", w.history.saw); err != nil && ctx.Err() == nil {
				w.t.Logf("watching leases: %v", err)
			}
		}
	})
	for _, m := range w.machines {
		all.Go(func() { m.client(ctx) })
	}
	w.t.Cleanup(func() { cancel(); all.Wait() })
}

// deadline is when a test gives up waiting; nothing is judged by time.
const deadline = 3 * time.Minute

func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(deadline); !is(); time.Sleep(20 * time.Millisecond) {
		if w.t.Context().Err() != nil || time.Now().After(end) {
			w.fatal("waited in vain for " + what)
		}
	}
}

// fatal ends the test, and shows what there is to see.
func (w *world) fatal(why string) {
	w.t.Helper()
	for _, m := range w.machines {
		state, err := w.keeper(m.agent.name)
		w.t.Logf("%s: %+v %v", m.agent.name, state, err)
		if log, err := os.ReadFile(m.log); err == nil {
			w.t.Logf("the end of the log of %s:\n%s", m.name, log[max(0, len(log)-8000):])
		}
	}
	for _, verb := range []string{"status", "journal"} {
		out, _ := exec.Command(mahavishnu, "failover", verb, "--config", w.machines[0].config).CombinedOutput()
		w.t.Logf("failover %s:\n%s", verb, out)
	}
	w.t.Fatal(why)
}

// command tells a keeper something, under the epoch of the coordinator that leads.
func (w *world) command(verb messages.Verb, member string, epoch uint64) (messages.MemberReply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return w.bus.CommandMember(ctx, messages.MemberCommand{Verb: verb, Service: serviceName, Member: member, Epoch: epoch, PatienceMillis: 5000})
}

func (w *world) keeper(member string) (messages.MemberState, error) {
	reply, err := w.command(messages.VerbStatus, member, 0)
	return reply.State, err
}

// leader is the epoch of the coordinator that leads; 0 while nobody does.
func (w *world) leader() uint64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	lease, err := w.bus.Leases().Get(ctx, messages.LeaseCoordinator)
	if err != nil || lease.Holder == "" {
		return 0
	}
	return lease.Epoch
}

// first makes one of the members the primary, as the person does who sets the service up.
func (w *world) first() bool {
	epoch := w.leader()
	if epoch == 0 {
		return false
	}
	reply, err := w.command(messages.VerbPromote, "a", epoch)
	return err == nil && reply.OK
}

// primary is the machine whose member holds the service's lease.
func (w *world) primary() *machine {
	w.history.mu.Lock()
	holder := w.history.holder
	w.history.mu.Unlock()
	for _, m := range w.machines {
		if m.agent.name == holder {
			return m
		}
	}
	return w.machines[0]
}

// standsBy tells whether another member than the primary follows.
func (w *world) standsBy() bool {
	primary := w.primary()
	for _, m := range w.machines {
		if s, err := w.keeper(m.agent.name); err == nil && m != primary && s.Healthy && s.Role == "standby" && s.State == "following" {
			return true
		}
	}
	return false
}

// judge compares everything that was seen with what may be.
func (w *world) judge() (acts, tenures int) {
	w.t.Helper()
	var agents []*agent
	for _, m := range w.machines {
		agents = append(agents, m.agent)
	}
	all, err := w.history.collected(agents)
	if err != nil {
		w.t.Fatal(err)
	}
	wrongs := append([]string{judgeActs(all), w.judgeRoute()}, w.history.judgeJournal()...)
	for _, a := range agents {
		var orders []porcupine.Operation
		a.mu.Lock()
		for _, o := range a.orders {
			orders = append(orders, porcupine.Operation{Input: told{o.verb, o.epoch, o.refused}, Call: o.from, Return: o.to})
		}
		a.mu.Unlock()
		wrongs = append(wrongs, judgeOrders(a.name, orders))
	}
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	for _, wrong := range append(wrongs, w.history.wrongs...) {
		if wrong != "" {
			w.t.Error(wrong)
		}
	}
	return len(all), len(w.history.wins)
}

// judgeRoute reads what the route was told, in its own order.
func (w *world) judgeRoute() string {
	text, err := os.ReadFile(filepath.Join(w.dir, "route", "log"))
	if err != nil && !os.IsNotExist(err) {
		return err.Error()
	}
	var all []porcupine.Operation
	for line := range strings.Lines(string(text)) {
		var epoch, found uint64
		if _, err := fmt.Sscanf(line, "%d %d", &epoch, &found); err != nil {
			return fmt.Sprintf("the route's log: %q: %v", line, err)
		}
		at := int64(len(all))
		all = append(all, porcupine.Operation{Input: told{"route", epoch, found > epoch}, Call: 2 * at, Return: 2*at + 1})
	}
	return judgeOrders("the route", all)
}
