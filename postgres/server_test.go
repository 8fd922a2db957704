//go:build !windows

package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/postgres"
	"mahavishnu/postgres/pgtest"
)

// bounded is a context for one operation on a server: longer than any needs.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func health(t *testing.T, m *pgtest.Member) postgres.Health {
	t.Helper()
	h, err := m.Health(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func guarded(t *testing.T, m *pgtest.Member) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(m.DataDir(), "standby.signal")); err != nil {
		t.Errorf("%s would start writable: %v", m.Name(), err)
	}
}

func gone(t *testing.T, m *pgtest.Member) {
	t.Helper()
	if pids := m.Pids(); len(pids) > 0 {
		t.Errorf("processes of %s are left: %v", m.Name(), pids)
	}
}

func TestAServerIsWritableOnlyByPromotion(t *testing.T) {
	t.Parallel()
	a := pgtest.New(t).Primary("a")
	guarded(t, a)
	a.Exec("CREATE TABLE t (n int)")
	a.Exec("INSERT INTO t VALUES (1)")
	before := health(t, a)
	if !before.Writable || before.Role != postgres.RolePrimary || before.Timeline != 2 {
		t.Fatalf("after the promotion: %+v", before)
	}
	if _, err := a.Promote(bounded(t)); !errors.Is(err, postgres.ErrNotStandby) {
		t.Errorf("promoting a primary: %v", err)
	}

	a.Kill()
	pgtest.Until(t, "it is gone", func() bool { return len(a.Pids()) == 0 })
	h := health(t, a)
	if h.Running || h.Writable || h.Role != postgres.RolePrimary || !strings.Contains(h.Detail, "in production") {
		t.Errorf("killed: %+v", h)
	}
	// As an init system would start it.
	if err := a.Start(bounded(t)); err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "it answers", func() bool { h, err := a.Health(bounded(t)); return err == nil && h.Role == postgres.RoleStandby })
	if err := a.Try("INSERT INTO t VALUES (2)"); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a write after a restart: %v", err)
	}
	if err := a.Start(bounded(t)); err != nil {
		t.Errorf("starting what runs: %v", err)
	}
	p, err := a.Promote(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if p.Timeline != before.Timeline+1 || p.Position < before.Position {
		t.Errorf("promoted to %+v after %+v", p, before)
	}
	guarded(t, a)
	if n := a.Text("SELECT count(*) FROM t"); n != "1" {
		t.Errorf("%s rows", n)
	}
	at, err := a.Stop(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	gone(t, a)
	guarded(t, a)
	c, err := a.Control(bounded(t))
	if err != nil || !c.Clean() || c.Standby() || c.Checkpoint != at {
		t.Errorf("after a clean stop at %v: %+v, %v", at, c, err)
	}
	if again, err := a.Stop(bounded(t)); err != nil || again != at {
		t.Errorf("stopping again: %v, %v", again, err)
	}
}

func TestACrashedBackendDoesNotRestartTheServer(t *testing.T) {
	t.Parallel()
	a := pgtest.New(t).Primary("a")
	for _, pid := range a.Pids() {
		if pid != a.Postmaster() {
			if err := kill(pid); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	pgtest.Until(t, "the whole server is gone", func() bool { return len(a.Pids()) == 0 })
	guarded(t, a)
}

func TestFence(t *testing.T) {
	t.Parallel()
	g := pgtest.New(t)
	a := g.Primary("a")
	if err := a.Fence(bounded(t)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		harm func(t *testing.T)
	}{
		{"running", func(*testing.T) {}},
		{"down already", func(t *testing.T) {
			if err := a.Fence(bounded(t)); err != nil {
				t.Fatal(err)
			}
		}},
		{"every process frozen", func(*testing.T) { a.Freeze() }},
		{"the postmaster frozen", func(*testing.T) { a.FreezePostmaster() }},
		{"the postmaster killed, a backend at work", func(t *testing.T) {
			conn := a.Connect()
			busy, done := make(chan struct{}), make(chan struct{})
			t.Cleanup(func() {
				<-done // a connection is one goroutine's at a time
				conn.Close(context.Background())
			})
			go func() {
				defer close(done)
				close(busy)
				conn.Exec(bounded(t), "SELECT count(*) FROM generate_series(1, 1000000000)")
			}()
			<-busy
			time.Sleep(100 * time.Millisecond)
			a.Kill()
		}},
		{"starting", func(t *testing.T) {
			a.Kill()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			a.Start(ctx)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := a.Promote(bounded(t)); err != nil {
				t.Fatal(err)
			}
			c.harm(t)
			if err := a.Fence(bounded(t)); err != nil {
				t.Fatal(err)
			}
			gone(t, a)
			guarded(t, a)
			if h := health(t, a); h.Running || h.Writable {
				t.Errorf("fenced: %+v", h)
			}
		})
	}
	if err := g.Absent("nobody").Fence(bounded(t)); err != nil {
		t.Errorf("fencing what was never there: %v", err)
	}
}

// TestNothingIsAcknowledgedAfterAFence freezes the postmaster, which leaves open
// connections at work, and writes through them until the fence ends them.
func TestNothingIsAcknowledgedAfterAFence(t *testing.T) {
	t.Parallel()
	a := pgtest.New(t).Primary("a")
	a.Exec("CREATE TABLE t (n int)")
	conn := a.Connect()
	defer conn.Close(context.Background())
	acknowledged, done := make(chan time.Time, 1<<20), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			if _, err := conn.Exec(bounded(t), "INSERT INTO t VALUES ($1)", n); err != nil {
				return
			}
			acknowledged <- time.Now()
		}
	}()
	<-acknowledged
	a.FreezePostmaster()
	frozen := time.Now()
	for at := range acknowledged {
		if at.After(frozen) {
			break // it goes on without its postmaster
		}
	}
	if err := a.Fence(bounded(t)); err != nil {
		t.Fatal(err)
	}
	fenced := time.Now()
	<-done
	close(acknowledged)
	for at := range acknowledged {
		// What was sent before the fence may be read a moment later.
		if at.Sub(fenced) > time.Second {
			t.Errorf("acknowledged %v after the fence", at.Sub(fenced))
		}
	}
	gone(t, a)
}

func TestAnotherProgramWithTheSamePidIsLeftAlone(t *testing.T) {
	t.Parallel()
	a := pgtest.New(t).Primary("a")
	if _, err := a.Stop(bounded(t)); err != nil {
		t.Fatal(err)
	}
	other, exited := bystander(t)
	file := filepath.Join(a.DataDir(), "postmaster.pid")
	if err := os.WriteFile(file, []byte(itoa(other)+"\n"+a.DataDir()+"\n1\n1\n\n\n\nready\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if h := health(t, a); h.Running {
		t.Errorf("a stale pid counts as running: %+v", h)
	}
	if err := a.Fence(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Stop(bounded(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-exited:
		t.Error("a bystander was killed")
	default:
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

func TestHealthOfWhatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	g := pgtest.New(t)
	a := g.Primary("a")
	a.Freeze()
	h, err := a.Health(bounded(t))
	if !errors.Is(err, postgres.ErrUnresponsive) || !h.Running || h.Writable {
		t.Errorf("frozen: %+v, %v", h, err)
	}
	a.Thaw()
	quick, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Health(quick); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if h, err := g.Absent("nobody").Health(bounded(t)); err != nil || h.Running || h.Role != postgres.RoleUnknown {
		t.Errorf("never there: %+v, %v", h, err)
	}
	// The probe that writes sees what only the disk tells.
	writing := a.Other(func(o *postgres.Options) { o.WriteProbe = true })
	before := health(t, a).Position
	if h, err := writing.Health(bounded(t)); err != nil || !h.Writable {
		t.Errorf("%+v, %v", h, err)
	}
	if after := health(t, a).Position; after <= before {
		t.Errorf("the probe wrote nothing: %v, then %v", before, after)
	}
}

func TestADirectoryBehindASymbolicLink(t *testing.T) {
	t.Parallel()
	g := pgtest.New(t)
	a := g.Primary("a")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Dir(a.DataDir()), link); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": a.DataDir(), "later": filepath.Join(filepath.Dir(a.DataDir()), "later")} {
		s := a.Other(func(o *postgres.Options) { o.DataDir = filepath.Join(link, name) })
		if s.DataDir() != want {
			t.Errorf("%s, want %s", s.DataDir(), want)
		}
		if alive, err := s.Alive(); err != nil || alive != (name == "a") {
			t.Errorf("%s is alive: %v, %v", name, alive, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	g := pgtest.New(t)
	for name, change := range map[string]func(*postgres.Options){
		"name": func(o *postgres.Options) { o.Name = "a b" }, "programs": func(o *postgres.Options) { o.BinDir = t.TempDir() },
		"directory": func(o *postgres.Options) { o.DataDir = "" }, "host": func(o *postgres.Options) { o.Host = "" },
		"port": func(o *postgres.Options) { o.Port = 0 }, "admin": func(o *postgres.Options) { o.Admin.User = "" },
	} {
		o := g.Options("a")
		change(&o)
		if _, err := postgres.NewServer(o); err == nil {
			t.Errorf("a wrong %s is taken", name)
		}
	}
}
