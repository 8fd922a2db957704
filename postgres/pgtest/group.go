// Package pgtest starts real PostgreSQL servers for tests: primaries and standbys in
// temporary directories, on free loopback ports, gone when the test is.
//
//	g := pgtest.New(t)
//	a := g.Primary("a")
//	b := g.Standby("b", a)
//	a.Exec("CREATE TABLE t (n int)")
//	a.Kill()
//
// As root the servers run as the user postgres, because PostgreSQL refuses root. Should the test's
// process die, a shell that hears of it ends the servers and removes their directory.
package pgtest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/postgres"
	"mahavishnu/postgres/sandbox"
)

// patience is how long anything may take: longer than any machine needs, since only a broken
// test waits for it.
const patience = 2 * time.Minute

// Group is a directory of servers.
type Group struct {
	t       testing.TB
	dir     string
	members []*Member
}

// BinDir returns where the programs of PostgreSQL are.
func BinDir(t testing.TB) string {
	t.Helper()
	dir, err := sandbox.BinDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// New returns a group without members.
func New(t testing.TB) *Group {
	t.Helper()
	g := &Group{t: t, dir: directory(t)}
	o := adopt(t, g.dir)
	t.Cleanup(func() { o.remove(t, g.dir) })
	t.Cleanup(func() {
		for _, m := range g.members {
			m.Thaw()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			if err := m.Fence(ctx); err != nil {
				t.Error(err)
			}
			cancel()
		}
	})
	return g
}

// orphans is a shell that ends the servers of a directory and removes it when this process is gone.
type orphans struct {
	cmd *exec.Cmd
	// stdin is closed with this process, or when nobody refers to it any more.
	stdin io.Closer
}

func adopt(t testing.TB, dir string) orphans {
	t.Helper()
	const script = `read _; for f in "$0"/*/postmaster.pid; do
  [ -f "$f" ] || continue; d=$(dirname "$f"); p=$(head -n 1 "$f")
  [ "$(readlink /proc/$p/cwd)" = "$d" ] && kill -QUIT "$p"; done; sleep 1; rm -rf "$0"`
	cmd := exec.Command("sh", "-c", script, dir)
	detach(cmd)
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return orphans{cmd, stdin}
}

// remove ends the shell, and removes the directory in its place.
func (o orphans) remove(t testing.TB, dir string) {
	o.cmd.Process.Kill()
	o.cmd.Wait() // it was killed
	o.stdin.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// Options returns options for a member that is not there yet.
func (g *Group) Options(name string) postgres.Options {
	g.t.Helper()
	return postgres.Options{
		BinDir: BinDir(g.t), DataDir: filepath.Join(g.dir, name), Name: name,
		Host: "127.0.0.1", Port: freePort(g.t),
		Admin: postgres.Login{User: "postgres"}, Replication: postgres.Login{User: "postgres"},
	}
}

// Primary makes and starts a server that takes writes. All primaries come from one database
// cluster and share its identifier.
func (g *Group) Primary(name string) *Member {
	g.t.Helper()
	return g.primary(name, false)
}

// Stranger is a primary of a database cluster of its own.
func (g *Group) Stranger(name string) *Member {
	g.t.Helper()
	return g.primary(name, true)
}

func (g *Group) primary(name string, own bool) *Member {
	g.t.Helper()
	m := g.member(g.Options(name))
	g.initialize(m.Options.DataDir, own)
	if err := sandbox.Append(m.Options.DataDir, "postgresql.conf", settings); err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	if _, err := m.Promote(ctx); err != nil {
		g.t.Fatal(err)
	}
	return m
}

// template is a data directory that initdb made, of which primaries are copies: initdb takes seconds.
var template struct {
	sync.Once
	dir    string
	keeper orphans
}

// initialize makes a data directory.
func (g *Group) initialize(dir string, own bool) {
	g.t.Helper()
	if own {
		g.initdb(dir)
		return
	}
	template.Do(func() {
		shared := directory(g.t)
		template.keeper = adopt(g.t, shared) // removes it when this process ends
		(&Group{t: g.t, dir: shared}).initdb(filepath.Join(shared, "template"))
		template.dir = filepath.Join(shared, "template")
	})
	if template.dir == "" {
		g.t.Fatal("initdb failed in another test")
	}
	g.copy(template.dir, dir)
}

func (g *Group) initdb(dir string) {
	g.t.Helper()
	if err := sandbox.Init(g.t.Context(), BinDir(g.t), dir); err != nil {
		g.t.Fatal(err)
	}
}

func (g *Group) copy(from, to string) {
	g.t.Helper()
	g.run("cp", "-a", from, to)
}

// settings make servers small and quick. Tests end processes, not machines, so that nothing
// that was written is lost without flushing it.
const settings = `
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
fsync = off
autovacuum = off
wal_keep_size = 64MB
`

// Standby makes and starts a standby of another member.
func (g *Group) Standby(name string, of *Member) *Member {
	g.t.Helper()
	m := g.member(g.Options(name))
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	if err := m.Create(ctx, of.Peer()); err != nil {
		g.t.Fatal(err)
	}
	return m
}

// Absent returns a member of which nothing is there yet.
func (g *Group) Absent(name string, change ...func(*postgres.Options)) *Member {
	g.t.Helper()
	o := g.Options(name)
	for _, c := range change {
		c(&o)
	}
	return g.member(o)
}

func (g *Group) member(o postgres.Options) *Member {
	g.t.Helper()
	s, err := postgres.NewServer(o)
	if err != nil {
		g.t.Fatal(err)
	}
	m := &Member{Server: s, Options: o, t: g.t}
	g.members = append(g.members, m)
	return m
}

// Other returns another control of the same server, with other options.
func (m *Member) Other(change func(*postgres.Options)) *postgres.Server {
	m.t.Helper()
	o := m.Options
	change(&o)
	s, err := postgres.NewServer(o)
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// run runs a program as the servers' owner.
func (g *Group) run(name string, args ...string) {
	g.t.Helper()
	if err := sandbox.Run(g.t.Context(), g.dir, name, args...); err != nil {
		g.t.Fatal(err)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Until polls until ok, or fails the test.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	system := clock.System()
	for deadline := system.Now().Add(patience); !ok(); {
		if err := system.Sleep(t.Context(), 10*time.Millisecond); err != nil || system.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func address(o postgres.Options) string {
	return fmt.Sprintf("host=%s port=%s user=%s dbname=postgres", o.Host, strconv.Itoa(o.Port), o.Admin.User)
}
