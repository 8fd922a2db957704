//go:build !windows

package standby_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"mahavishnu/coordinator/standby"
	"mahavishnu/coordinator/standby/standbytest"
	"mahavishnu/postgres/pgtest"
)

func driver(t *testing.T, m *pgtest.Member) *standby.Postgres {
	t.Helper()
	d, err := standby.NewPostgres(m.Options)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func peer(m *pgtest.Member) standby.Peer {
	return standby.Peer{Name: m.Options.Name, Host: m.Options.Host, Port: m.Options.Port}
}

func TestPostgresDriver(t *testing.T) {
	t.Parallel()
	standbytest.Run(t, func(t *testing.T) (a, b standbytest.Member) {
		g := pgtest.New(t)
		one := g.Primary("a")
		one.Exec("CREATE TABLE t (n serial)")
		two := g.Standby("b", one)
		return member(t, one), member(t, two)
	})
}

func member(t *testing.T, m *pgtest.Member) standbytest.Member {
	t.Helper()
	return standbytest.Member{
		Driver: driver(t, m), Peer: peer(m),
		Write: func() error { return m.Try("INSERT INTO t DEFAULT VALUES") },
		Has: func() int {
			n, err := strconv.Atoi(m.Text("SELECT count(*) FROM t"))
			if err != nil {
				t.Error(err)
			}
			return n
		},
		Crash: func() {
			m.Kill()
			pgtest.Until(t, "it is gone", func() bool { return len(m.Pids()) == 0 })
		},
		Restart: func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := m.Start(ctx); err != nil {
				t.Error(err)
			}
		},
		Hang: m.Freeze, Wake: m.Thaw,
	}
}

func TestPostgresTellsWhoIsSecured(t *testing.T) {
	t.Parallel()
	g := pgtest.New(t)
	a := g.Primary("a")
	a.Exec("CREATE TABLE t (n int)")
	b := g.Standby("b", a)
	d := driver(t, a)
	replica := func() standby.Replica {
		t.Helper()
		all, err := d.Replicas(t.Context())
		if err != nil || len(all) > 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		for _, r := range all {
			return r
		}
		return standby.Replica{} // not connected yet
	}
	pgtest.Until(t, "b streams", func() bool { return replica().Streaming })
	for range 4 {
		if replica().Secured {
			t.Fatal("secured, and nothing waits for it")
		}
	}
	if err := d.SetSynchronous(t.Context(), []string{"b"}); err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "b is secured", func() bool { return replica().Secured })
	// Another setting begins anew.
	if err := d.SetSynchronous(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "b is not", func() bool { return !replica().Secured })

	// What a standby does not have yet keeps it from being secured.
	b.Freeze()
	a.Exec("INSERT INTO t SELECT generate_series(1, 100000)")
	if err := d.SetSynchronous(t.Context(), []string{"b"}); err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "writes wait for b", func() bool { return a.Text("SELECT sync_state FROM pg_stat_replication") == "sync" })
	for range 4 {
		if replica().Secured {
			t.Fatal("secured while it hangs")
		}
	}
	b.Thaw()
	pgtest.Until(t, "b is secured again", func() bool { return replica().Secured })

	for _, c := range []struct {
		position, floor string
		want            bool
	}{{"0/10", "0/F", true}, {"0/10", "0/10", true}, {"0/F", "0/10", false}, {"1/0", "0/FFFFFFFF", true}} {
		if got, err := d.Reached(c.position, c.floor); err != nil || got != c.want {
			t.Errorf("%s reached %s: %v, %v", c.floor, c.position, got, err)
		}
	}
	for _, c := range [][2]string{{"x", "0/0"}, {"0/0", "x"}} {
		if ok, err := d.Reached(c[0], c[1]); err == nil || ok {
			t.Errorf("%v compared", c)
		}
	}
}

func TestPostgresRemembersEpochs(t *testing.T) {
	t.Parallel()
	a := pgtest.New(t).Primary("a")
	if err := driver(t, a).Promote(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	// Another process: the watchdog, or the keeper after a restart.
	if err := driver(t, a).Fence(t.Context(), 4); !errors.Is(err, standby.ErrStale) {
		t.Errorf("%v", err)
	}
	a.Exec("SELECT 1")
	if err := driver(t, a).Fence(t.Context(), 5); err != nil {
		t.Error(err)
	}
}
