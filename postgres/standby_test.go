//go:build !windows

package postgres_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"mahavishnu/postgres"
	"mahavishnu/postgres/pgtest"
)

func follows(t *testing.T, standby, primary *pgtest.Member) {
	t.Helper()
	primary.Exec("INSERT INTO t VALUES (nextval('s'))")
	want := primary.Text("SELECT max(n) FROM t")
	pgtest.Until(t, standby.Name()+" shows the last row of "+primary.Name(), func() bool {
		return standby.Text("SELECT COALESCE(max(n), 0) FROM t") == want
	})
	guarded(t, standby)
}

func pair(t *testing.T) (g *pgtest.Group, a, b *pgtest.Member) {
	t.Helper()
	g = pgtest.New(t)
	a = g.Primary("a")
	a.Exec("CREATE TABLE t (n int)")
	a.Exec("CREATE SEQUENCE s")
	b = g.Standby("b", a)
	return g, a, b
}

func TestStandby(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	follows(t, b, a)
	pgtest.Until(t, "it streams", func() bool { return health(t, b).Streaming })
	h := health(t, b)
	if h.Role != postgres.RoleStandby || h.Writable || h.Timeline != 2 || h.Position == 0 {
		t.Errorf("standby: %+v", h)
	}
	replicas, own, err := a.Replicas(bounded(t))
	if err != nil || len(replicas) != 1 || replicas[0].Name != "b" || !replicas[0].Streaming || replicas[0].Synchronous || own == 0 {
		t.Errorf("replicas %+v at %v, %v", replicas, own, err)
	}
	if err := b.Create(bounded(t), a.Peer()); !errors.Is(err, postgres.ErrOccupied) {
		t.Errorf("creating what is there: %v", err)
	}
	if slots := a.Text("SELECT string_agg(slot_name, ',') FROM pg_replication_slots WHERE active"); slots != "mahavishnu_b" {
		t.Errorf("slots in use: %s", slots)
	}

	// What is received and not replayed yet is a lag.
	b.Exec("SELECT pg_wal_replay_pause()")
	a.Exec("INSERT INTO t SELECT generate_series(1000, 2000)")
	pgtest.Until(t, "it lags", func() bool { h := health(t, b); return h.LagBytes > 0 && h.LagTime > 0 && h.Position > h.Replayed })
	// A promotion replays it first.
	if _, err := b.Promote(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if n := b.Text("SELECT count(*) FROM t WHERE n >= 1000"); n != "1001" {
		t.Errorf("%s rows of 1001 that were received", n)
	}
	if h := health(t, b); !h.Writable || h.Timeline != 3 {
		t.Errorf("promoted: %+v", h)
	}
}

func TestSynchronousCommitsWait(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	if err := a.SetSynchronous("b"); err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "b is synchronous", func() bool {
		r, _, err := a.Replicas(bounded(t))
		return err == nil && len(r) == 1 && r[0].Synchronous
	})
	a.Exec("INSERT INTO t VALUES (1)")
	r, own, err := a.Replicas(bounded(t))
	if err != nil || r[0].Flushed > own+1<<20 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := b.Stop(bounded(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	conn := a.Connect()
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, "INSERT INTO t VALUES (2)"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a commit without its standby: %v", err)
	}
	// Control does not wait.
	if h := health(t, a); !h.Writable {
		t.Errorf("%+v", h)
	}
	if err := a.SetSynchronous(); err != nil {
		t.Fatal(err)
	}
	a.Exec("INSERT INTO t VALUES (3)")
}

func TestRejoin(t *testing.T) {
	t.Parallel()
	g, a, b := pair(t)
	follows(t, b, a)

	rejoin := func(m, to *pgtest.Member, way string) postgres.Rejoined {
		t.Helper()
		done, err := m.Rejoin(bounded(t), to.Peer())
		if err != nil {
			t.Fatal(err)
		}
		if done.Way != way {
			t.Fatalf("%v, want %s", done, way)
		}
		follows(t, m, to)
		return done
	}
	promote := func(m *pgtest.Member) {
		t.Helper()
		if _, err := m.Promote(bounded(t)); err != nil {
			t.Fatal(err)
		}
	}

	rejoin(b, a, postgres.Following)
	if _, err := a.Rejoin(bounded(t), b.Peer()); !errors.Is(err, postgres.ErrPrimary) {
		t.Errorf("rejoining a primary: %v", err)
	}

	// A graceful switch and back: nobody has what the other lacks.
	at, err := a.Stop(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "b has the last checkpoint", func() bool { return health(t, b).Position > at })
	promote(b)
	rejoin(a, b, postgres.Followed)

	// b is cut off with rows that a never got, and ends without notice.
	b.Exec("CHECKPOINT")
	a.Freeze()
	b.Exec("INSERT INTO t SELECT generate_series(100000, 200000)")
	b.Freeze()
	a.Thaw()
	if err := b.Fence(bounded(t)); err != nil {
		t.Fatal(err)
	}
	promote(a)
	done := rejoin(b, a, postgres.Rewound)
	if !strings.Contains(done.Reason, "went on alone") {
		t.Errorf("%v", done)
	}
	slots := b.Text("SELECT count(*) FROM pg_replication_slots")
	if slots != "0" {
		t.Errorf("a standby keeps the log for %s slots", slots)
	}

	// A third, of which nothing is there.
	c := g.Absent("c")
	rejoin(c, a, postgres.Copied)

	// The log that a rewind needs is gone, or a rewind was cut off: a copy, the old one kept.
	if err := b.Fence(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.DataDir()+".rewinding", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(bounded(t)); err == nil {
		t.Error("what was half rewound starts")
	}
	done = rejoin(b, a, postgres.Copied)
	if _, err := os.Stat(done.Aside); err != nil || done.Aside == "" {
		t.Errorf("the old directory: %v, %v", done, err)
	}
	done, err = b.Other(func(o *postgres.Options) { o.Discard = true }).Rejoin(bounded(t), a.Peer())
	if err != nil || done.Way != postgres.Following {
		t.Errorf("%v, %v", done, err)
	}
}

func TestRejoinCopiesWhatCannotBeRewound(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	// pg_rewind cannot tell what changed without checksums.
	for _, m := range []*pgtest.Member{a, b} {
		if _, err := m.Stop(bounded(t)); err != nil {
			t.Fatal(err)
		}
		m.Tool("pg_checksums", "--disable", "-D", m.DataDir())
	}
	if _, err := a.Promote(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if done, err := b.Rejoin(bounded(t), a.Peer()); err != nil || done.Way != postgres.Followed {
		t.Fatalf("%v, %v", done, err)
	}
	b.Freeze()
	a.Exec("INSERT INTO t SELECT generate_series(1, 100000)")
	if err := a.Fence(bounded(t)); err != nil {
		t.Fatal(err)
	}
	b.Thaw()
	if _, err := b.Promote(bounded(t)); err != nil {
		t.Fatal(err)
	}
	done, err := a.Rejoin(bounded(t), b.Peer())
	if err != nil {
		t.Fatal(err)
	}
	if done.Way != postgres.Copied || !strings.Contains(done.Reason, "wal_log_hints") || done.Aside == "" {
		t.Errorf("%v", done)
	}
	follows(t, a, b)
}

// TestRejoinTellsTimelinesOfTheSameNumberApart lets two servers begin a timeline at the same
// position each, as a primary that was restarted and a standby that never heard of it would.
func TestRejoinTellsTimelinesOfTheSameNumberApart(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	follows(t, b, a)
	at, err := a.Stop(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "b has the last checkpoint", func() bool { return health(t, b).Position > at })
	for _, m := range []*pgtest.Member{a, b} {
		if _, err := m.Promote(bounded(t)); err != nil {
			t.Fatal(err)
		}
	}
	if one, two := health(t, a), health(t, b); one.Timeline != two.Timeline {
		t.Fatalf("timelines %d and %d: the test does not test", one.Timeline, two.Timeline)
	}
	a.Exec("INSERT INTO t VALUES (100)")
	b.Exec("INSERT INTO t SELECT generate_series(1000, 100000)")
	if err := a.Fence(bounded(t)); err != nil {
		t.Fatal(err)
	}
	done, err := a.Rejoin(bounded(t), b.Peer())
	if err != nil {
		t.Fatal(err)
	}
	if done.Way != postgres.Copied || !strings.Contains(done.Reason, "differs") {
		t.Errorf("%v", done)
	}
	follows(t, a, b)
	if n := a.Text("SELECT count(*) FROM t WHERE n = 100"); n != "0" {
		t.Error("a row is there that only the other history has")
	}
}

func TestRejoinRefusesAForeignPrimary(t *testing.T) {
	t.Parallel()
	g := pgtest.New(t)
	a, b := g.Primary("a"), g.Stranger("b")
	if err := a.Fence(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Rejoin(bounded(t), b.Peer()); !errors.Is(err, postgres.ErrForeign) {
		t.Errorf("%v", err)
	}
}
