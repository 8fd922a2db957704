package pgtest

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"mahavishnu/postgres"
)

// Member is a server of a group.
type Member struct {
	*postgres.Server
	// Options are those that the server was opened with.
	Options postgres.Options
	t       testing.TB
}

// Peer is the member as others reach it.
func (m *Member) Peer() postgres.Peer {
	return postgres.Peer{Name: m.Options.Name, Host: m.Options.Host, Port: m.Options.Port}
}

// URL is how clients reach the server, as a libpq connection string.
func (m *Member) URL() string { return address(m.Options) }

// Connect opens a connection that the test closes.
func (m *Member) Connect() *pgx.Conn {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, m.URL())
	if err != nil {
		m.t.Fatal(err)
	}
	return conn
}

// Exec runs statements.
func (m *Member) Exec(sql string, args ...any) {
	m.t.Helper()
	if err := m.Try(sql, args...); err != nil {
		m.t.Fatalf("%s: %s: %v", m.Options.Name, sql, err)
	}
}

// Try runs statements that may fail.
func (m *Member) Try(sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, m.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(ctx, sql, args...)
	return err
}

// Text returns the one value that a query has.
func (m *Member) Text(sql string, args ...any) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	conn := m.Connect()
	defer conn.Close(context.Background())
	var text string
	if err := conn.QueryRow(ctx, "SELECT ("+sql+")::text", args...).Scan(&text); err != nil {
		m.t.Fatalf("%s: %s: %v", m.Options.Name, sql, err)
	}
	return text
}

// Postmaster returns the pid of the server's first process, 0 when there is none.
func (m *Member) Postmaster() int {
	text, err := os.ReadFile(filepath.Join(m.DataDir(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || workingDir(pid) != m.DataDir() {
		return 0
	}
	return pid
}

// Pids returns all processes of the server that run a program; those that are just ending do not.
func (m *Member) Pids() []int {
	m.t.Helper()
	names, err := os.ReadDir("/proc")
	if err != nil {
		m.t.Fatal(err)
	}
	var pids []int
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil || workingDir(pid) != m.DataDir() {
			continue
		}
		if _, err := os.Readlink(filepath.Join("/proc", n.Name(), "exe")); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func workingDir(pid int) string {
	dir, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		return ""
	}
	return dir
}

// Kill ends the postmaster with SIGKILL, as a program that went wrong would; its children follow.
func (m *Member) Kill() {
	m.t.Helper()
	if pid := m.Postmaster(); pid != 0 {
		signal(pid, syscall.SIGKILL)
	}
}

// Freeze stops all of the server's processes, which stay where they are.
func (m *Member) Freeze() {
	m.t.Helper()
	if pid := m.Postmaster(); pid != 0 {
		freeze(pid) // first, so that it starts no more
	}
	for _, pid := range m.Pids() {
		freeze(pid)
	}
}

// FreezePostmaster stops only the first process: open connections go on.
func (m *Member) FreezePostmaster() {
	m.t.Helper()
	if pid := m.Postmaster(); pid != 0 {
		freeze(pid)
	}
}

// Thaw lets what was frozen go on.
func (m *Member) Thaw() {
	m.t.Helper()
	for _, pid := range m.Pids() {
		thaw(pid)
	}
}

// append adds to a file of the data directory.
func (m *Member) append(name, text string) {
	m.t.Helper()
	f, err := os.OpenFile(filepath.Join(m.Options.DataDir, name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		m.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		m.t.Fatal(err)
	}
}

// Tool runs one of PostgreSQL's programs on a server that is down.
func (m *Member) Tool(name string, args ...string) {
	m.t.Helper()
	(&Group{t: m.t, dir: filepath.Dir(m.DataDir())}).run(filepath.Join(m.Options.BinDir, name), args...)
}
