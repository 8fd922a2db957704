package natstest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/messages/natsserver"
)

// serveEnv carries the options of a server process, as JSON.
const serveEnv = "MAHAVISHNU_NATSTEST_SERVE"

// Main makes a test binary able to run servers for [StartProcesses] and
// [StartConfigured]. Call it
// first in TestMain: in a process that was started as a server it never returns.
func Main() {
	if file, ok := os.LookupEnv(configEnv); ok {
		if err := serveConfig(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	raw, ok := os.LookupEnv(serveEnv)
	if !ok {
		return
	}
	var o natsserver.Options
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if _, err := natsserver.Start(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadByte() // ends with the parent, which holds the other end
	os.Exit(0)
}

// Cluster is several servers with one JetStream.
type Cluster struct {
	t       testing.TB
	members []*member
}

type member struct {
	options natsserver.Options
	process bool
	server  *natsserver.Server
	cmd     *exec.Cmd
}

// StartCluster runs n servers inside this process.
func StartCluster(t testing.TB, n int) *Cluster { return startCluster(t, n, false) }

// StartProcesses runs n servers as processes; the package's TestMain must
// call [Main].
func StartProcesses(t testing.TB, n int) *Cluster { return startCluster(t, n, true) }

func startCluster(t testing.TB, n int, processes bool) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	ports := freePorts(t, 2*n)
	var routes []string
	for i := range n {
		routes = append(routes, address(ports[n+i]))
	}
	dir := t.TempDir()
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		c.members = append(c.members, &member{process: processes, options: natsserver.Options{
			Name: name, StoreDir: filepath.Join(dir, name), Port: ports[i], SyncInterval: syncInterval, MaxStore: 4 << 30,
			Cluster: &natsserver.Cluster{Name: clusterName, Port: ports[n+i], Routes: routes},
		}})
	}
	t.Cleanup(func() {
		for _, m := range c.members {
			m.stop()
		}
	})
	for _, m := range c.members {
		m.start(t)
	}
	c.Settle()
	return c
}

func (m *member) start(t testing.TB) {
	t.Helper()
	if !m.process {
		s, err := natsserver.Start(m.options)
		if err != nil {
			t.Fatal(err)
		}
		m.server = s
		return
	}
	raw, err := json.Marshal(m.options)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"="+string(raw))
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.cmd = cmd
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("server process %s did not become ready: %q, %v", m.options.Name, line, err)
	}
}

// stop ends the server at once; a process is killed, not asked.
func (m *member) stop() {
	if m.server != nil {
		m.server.Shutdown() //nolint:errcheck // only the lock file's close can fail, and the directory goes away
		m.server = nil
	}
	if m.cmd != nil {
		m.cmd.Process.Kill() //nolint:errcheck // it may be gone already
		m.cmd.Wait()         //nolint:errcheck // killed is an error
		m.cmd = nil
	}
}

func (c *Cluster) member(name string) *member {
	c.t.Helper()
	for _, m := range c.members {
		if m.options.Name == name {
			return m
		}
	}
	c.t.Fatalf("the cluster has no server %q", name)
	return nil
}

// Names lists the servers.
func (c *Cluster) Names() []string {
	var names []string
	for _, m := range c.members {
		names = append(names, m.options.Name)
	}
	return names
}

// URL lists the clients' addresses of all servers, running or not.
func (c *Cluster) URL() string {
	var urls []string
	for _, m := range c.members {
		urls = append(urls, "nats://"+address(m.options.Port))
	}
	return strings.Join(urls, ",")
}

// Kill ends a server: a process with SIGKILL, one inside this process by
// shutting it down.
func (c *Cluster) Kill(name string) {
	c.t.Helper()
	c.member(name).stop()
}

// Restart starts a killed server over its old data.
func (c *Cluster) Restart(name string) {
	c.t.Helper()
	c.member(name).start(c.t)
}

// Settle waits until the cluster has a leader and answers API requests.
func (c *Cluster) Settle() {
	c.t.Helper()
	waitFor(c.t, "the cluster's leader", func() bool {
		return c.ask(func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.AccountInfo(ctx)
			return err
		}) == nil
	})
}

// StreamLeader waits until the stream has a leader, and names it.
func (c *Cluster) StreamLeader(stream string) string {
	c.t.Helper()
	var leader string
	waitFor(c.t, "a leader of "+stream, func() bool {
		err := c.ask(func(ctx context.Context, js jetstream.JetStream) error {
			s, err := js.Stream(ctx, stream)
			if err == nil && s.CachedInfo().Cluster != nil {
				leader = s.CachedInfo().Cluster.Leader
			}
			return err
		})
		return err == nil && leader != ""
	})
	return leader
}

func (c *Cluster) ask(fn func(context.Context, jetstream.JetStream) error) error {
	nc, err := nats.Connect(c.URL(), nats.Timeout(2*time.Second))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return fn(ctx, js)
}
