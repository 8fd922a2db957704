package pgtest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"mahavishnu/postgres"
	"mahavishnu/postgres/sandbox"
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
func (m *Member) Postmaster() int { return sandbox.Postmaster(m.DataDir()) }

// Pids returns all processes of the server that run a program; those that are just ending do not.
func (m *Member) Pids() []int {
	m.t.Helper()
	pids, err := sandbox.Processes(m.DataDir())
	m.must(err)
	return pids
}

// Kill ends the postmaster with SIGKILL, as a program that went wrong would; its children follow.
func (m *Member) Kill() { sandbox.Kill(m.DataDir()) }

// Freeze stops all of the server's processes, which stay where they are.
func (m *Member) Freeze() {
	m.t.Helper()
	m.must(sandbox.FreezeAll(m.DataDir()))
}

// FreezePostmaster stops only the first process: open connections go on.
func (m *Member) FreezePostmaster() { sandbox.FreezePostmaster(m.DataDir()) }

// Thaw lets what was frozen go on.
func (m *Member) Thaw() {
	m.t.Helper()
	m.must(sandbox.ThawAll(m.DataDir()))
}

func (m *Member) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// Tool runs one of PostgreSQL's programs on a server that is down.
func (m *Member) Tool(name string, args ...string) {
	m.t.Helper()
	(&Group{t: m.t, dir: filepath.Dir(m.DataDir())}).run(filepath.Join(m.Options.BinDir, name), args...)
}
