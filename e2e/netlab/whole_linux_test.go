package netlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/coordinator/program"
	"mahavishnu/lab/process"
	"mahavishnu/lab/wire"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/repository/keyring"
	"mahavishnu/storage/storagetest/servers"
)

// limit is when a test gives up waiting. Nothing is judged by it.
const limit = 3 * time.Minute

// whole is a whole system: in each of three regions a server of the control cluster and
// a process with all roles; in two of them storage and a member of a service.
type whole struct {
	*stretched
	dir     string
	program string
	server  *servers.S3Server
	logs    map[string]*process.Output
	ended   chan string // regions whose process ended
	setup   *bus.Bus
}

const (
	near, far, third = "eu", "us", "ap" // the region that is cut off, its peer, the witness
	sourceName       = "home"
	islandAfter      = 2 * time.Second
)

func newWhole(t *testing.T) *whole {
	t.Helper()
	program := buildProgram(t)
	w := &whole{program: program, dir: t.TempDir(), server: servers.S3(t), logs: map[string]*process.Output{}, ended: make(chan string, 3)}
	w.stretched = startStretched(t, near, far, third)
	if _, err := keyring.Create(filepath.Join(w.dir, "key"), time.Now()); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(w.dir, sourceName)
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("letter", "dear reader")
	for _, r := range []string{near, far} {
		w.serveStorage(r)
		w.startMember(r)
	}
	for _, r := range w.lab.Regions() {
		w.logs[r] = w.start(r, "up", "--config", w.config(r))
	}
	conn := w.conn(third, 10*time.Second)
	w.until("the queue is provisioned", func() bool {
		var err error
		w.setup, err = bus.Bind(t.Context(), conn)
		return err == nil
	})
	w.until("the primary is kept", func() bool { m := w.member(near); return m.Holds && m.Writable })
	w.until("its standby is, too", func() bool { m := w.member(far); return m.Healthy && m.Role == "standby" })
	w.until("a coordinator leads", func() bool { return w.leader() != "" })
	return w
}

// write changes the source.
func (w *whole) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, sourceName, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *whole) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain until %s", what)
		}
		select {
		case region := <-w.ended:
			w.t.Fatalf("the process in %s ended while it was waited until %s", region, what)
		default:
		}
	}
}

// port is where every region's programs find a region's storage, on their own loopback:
// a program takes backups across a network under TLS only.
func port(region string) string { return map[string]string{near: "9001", far: "9002"}[region] }

// place is a region's storage, as configurations name it.
func (w *whole) place(region string) string {
	return w.server.Through("http://"+net.JoinHostPort("127.0.0.1", port(region)), region)
}

// serveStorage lets the object store be reached at an address of the region, and there
// from every region by way of the lab's wires: it is cut off with the region.
func (w *whole) serveStorage(region string) {
	w.t.Helper()
	at := net.JoinHostPort(w.lab.Addr(region).String(), "9000")
	w.relay(region, at, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(w.server.Endpoint(), "http://"))
	})
	for _, from := range w.lab.Regions() {
		w.relay(from, net.JoinHostPort("127.0.0.1", port(region)), func(ctx context.Context) (net.Conn, error) {
			return w.lab.Dial(ctx, from, "tcp", at)
		})
	}
}

// relay passes on what comes to an address of a region.
func (w *whole) relay(region, address string, dial wire.Dial) {
	w.t.Helper()
	l, err := w.lab.Listen(w.t.Context(), region, "tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	line := wire.Between(l, func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return dial(ctx)
	})
	w.t.Cleanup(func() { line.Close() }) //nolint:errcheck // nothing is lost
}

// startMember starts a region's member of the service; the one near is the primary.
func (w *whole) startMember(region string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, region, "member")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := memberFile(filepath.Join(dir, "state")).set(region == near); err != nil {
		w.t.Fatal(err)
	}
	w.run(region, exec.Command(os.Args[0], memberArg, dir, net.JoinHostPort(w.lab.Addr(region).String(), memberPort)))
}

// config writes the configuration of a region's machine.
func (w *whole) config(region string) string {
	w.t.Helper()
	script, err := filepath.Abs(memberScript)
	if err != nil {
		w.t.Fatal(err)
	}
	var members []string
	for _, r := range []string{near, far} {
		dir := filepath.Join(w.dir, r, "member")
		var commands []string
		for _, verb := range []string{"health", "fence", "promote", "demote", "rejoin"} {
			commands = append(commands, fmt.Sprintf("%s: [sh, %q, %q, %q, \"%d\"]", verb, script, verb, dir, program.Stale))
		}
		members = append(members, fmt.Sprintf("%s: {node: %s-1, region: %s, address: %q, commands: {%s}}",
			r, r, r, net.JoinHostPort(w.lab.Addr(r).String(), memberPort), strings.Join(commands, ", ")))
	}
	own := "file://" + filepath.Join(w.dir, third, "repository") // nothing is ever in it
	if region != third {
		own = w.place(region)
	}
	text := fmt.Sprintf(`
backup:
  encryption: {key_path: %[1]q}
  storage: {url: %[2]q}
  schedules:
    daily_incremental: {enabled: false}
    weekly_full: {enabled: false}
    monthly_archival: {enabled: false}
    minutely: {cron: "* * * * *", type: incremental}
  replication:
    enabled: true
    interval: 1h
    regions: [{primary: eu, secondary: us}]
    storages:
      eu: {url: %[3]q}
      us: {url: %[4]q}
regions: [eu, us, ap]
sources: {%[5]s: {path: %[6]q, region: eu}}
node: {name: %[7]s-1, region: %[7]s, data_dir: %[8]q, listen: "", slots: 2, log_format: json}
nats: {url: "nats://127.0.0.1:4222", replicas: 3, island: {after: %[9]s}}
jobs: {ack_wait: 3s, retry_first: 1s}
failover:
  coordinators: [{node: eu-1, region: eu}, {node: us-1, region: us}, {node: ap-1, region: ap}]
  services:
    orders: {kind: command, members: {%[10]s}}
`, filepath.Join(w.dir, "key"), own, w.place(near), w.place(far),
		sourceName, filepath.Join(w.dir, sourceName), region, filepath.Join(w.dir, region, "data"), islandAfter, strings.Join(members, ", "))
	path := filepath.Join(w.dir, region+".yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// environment is what programs of the system get.
func (w *whole) environment(more ...string) []string {
	return append(append(os.Environ(), "AWS_ACCESS_KEY_ID="+w.server.AccessKey, "AWS_SECRET_ACCESS_KEY="+w.server.SecretKey), more...)
}

// start starts the program in a region; it is killed at the end.
func (w *whole) start(region string, args ...string) *process.Output {
	w.t.Helper()
	cmd := exec.Command(w.program, args...)
	cmd.Dir, cmd.Env = w.dir, w.environment()
	log := &process.Output{}
	cmd.Stdout, cmd.Stderr = log, log
	ended := w.run(region, cmd)
	go func() { <-ended; w.ended <- region }()
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("%s in %s:\n%s", args[0], region, log)
		}
	})
	return log
}

// run runs a command in a region until the end of the test; the channel is closed when
// it ends.
func (w *whole) run(region string, cmd *exec.Cmd) <-chan struct{} {
	w.t.Helper()
	p, err := process.Start(cmd, w.lab.Runner(region))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if lost := p.End(); lost > 0 {
			w.t.Logf("%d watchdogs of %s in %s found no member to stop", lost, cmd.Args, region)
		}
	})
	return p.Exited()
}

// must runs a command of the program in a region, with variables, to its end.
func (w *whole) must(region string, variables []string, args ...string) string {
	w.t.Helper()
	return w.ends(0, region, variables, args...)
}

// ends runs a command in a region, which must end with an exit code, and returns what it
// prints.
func (w *whole) ends(code int, region string, variables []string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command(w.program, append(args, "--config", filepath.Join(w.dir, region+".yml"))...)
	cmd.Dir, cmd.Env = w.dir, w.environment(variables...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := w.lab.Start(region, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) || cmd.ProcessState.ExitCode() != code {
		w.t.Fatalf("mahavishnu %s in %s: %v, want exit code %d\n%s%s", strings.Join(args, " "), region, err, code, &out, &errs)
	}
	return out.String()
}

// member is what a member's keeper says.
func (w *whole) member(name string) messages.MemberState {
	w.t.Helper()
	reply, err := w.setup.CommandMember(w.t.Context(), messages.MemberCommand{Verb: messages.VerbStatus, Service: "orders", Member: name})
	if err != nil && !errors.Is(err, bus.ErrNobody) && !bus.Unanswered(err) {
		w.t.Fatal(err)
	}
	return reply.State
}

// leader is the coordinator that leads; nobody at first.
func (w *whole) leader() string {
	w.t.Helper()
	lease, err := w.setup.Leases().Get(w.t.Context(), messages.LeaseCoordinator)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		w.t.Fatal(err)
	}
	return lease.Holder
}

// renewals notes the writes of the service's lease, as the majority's side sees them.
type renewals struct {
	mu  sync.Mutex
	all []renewal
}

type renewal struct {
	holder string
	sent   time.Time // by the holder's clock, which is this machine's
	epoch  uint64
}

func (w *whole) watchLease(ctx context.Context, renewDeadline time.Duration) *renewals {
	w.t.Helper()
	store, err := w.setup.Store(messages.BucketLeases)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &renewals{}
	note := func(v bus.Value) error {
		l, err := messages.DecodeLease(v.Data)
		if err == nil {
			r.mu.Lock()
			r.all = append(r.all, renewal{l.Holder, time.UnixMilli(l.DeadlineMillis).Add(-renewDeadline), l.Epoch})
			r.mu.Unlock()
		}
		return err
	}
	go func() {
		for ctx.Err() == nil { // a stream's new leader may end a watch
			err := store.Watch(ctx, messages.ServiceLease("orders"), note)
			if ctx.Err() == nil {
				w.t.Logf("watching the lease again: %v", err)
				time.Sleep(100 * time.Millisecond)
			}
		}
	}()
	w.until("the lease is seen to be renewed", func() bool { return !r.last(near).sent.IsZero() })
	return r
}

// last is the last renewal of a holder that was acknowledged.
func (r *renewals) last(holder string) (last renewal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.all {
		if x.holder == holder {
			last = x
		}
	}
	return last
}
