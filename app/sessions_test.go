package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"mahavishnu/messages/bus"
	"mahavishnu/repository"
	"mahavishnu/repository/lease"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
)

// sessionLife is the shortest life of a sign in the queue.
const sessionLife = 3 * time.Second

// crew is a system with a queue, and a repository that several processes work on.
type crew struct {
	*testing.T
	app    *App
	access Access
	base   repository.Snapshot // the first backup
	root   []byte              // of its tree
}

func newCrew(t *testing.T) crew {
	t.Helper()
	t.Parallel()
	cfg := testConfig(t, "")
	c := crew{T: t, app: started(t, Options{Config: cfg, Roles: Roles{Scheduler: true}}), access: AccessTo(cfg)}
	c.access.Create, c.access.CacheDir = true, ""
	repo := c.open()
	made, err := snapshot.Backup(t.Context(), repo, snapshot.BackupOptions{Source: "base", Path: cfg.Sources["home"].Path})
	if err != nil {
		t.Fatal(err)
	}
	c.base = made.Snapshot
	if c.root, err = repo.Load(t.Context(), c.base.Root, repository.KindTree, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c crew) open() *repository.Repository {
	c.Helper()
	o, err := c.access.Open(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		if err := o.Close(); err != nil {
			c.Error(err)
		}
	})
	return o.Repository
}

// connect is the queue as another process sees it; cut ends its connection.
func (c crew) connect(node string) (keeper lease.Keeper, cut func()) {
	c.Helper()
	conn, err := Dial(c.Context(), c.app.config(), node, nil)
	if err != nil {
		c.Fatal(err)
	}
	b, err := bus.Bind(c.Context(), conn)
	if err != nil {
		c.Fatal(err)
	}
	closed := false
	cut = func() {
		if !closed {
			closed = true
			conn.Close()
		}
	}
	c.Cleanup(cut)
	return Sessions(b, node), cut
}

// write starts a session and meets the tree of the first backup again.
func (c crew) write(keeper lease.Keeper, ttl time.Duration) (*repository.Session, repository.Snapshot) {
	c.Helper()
	s, err := c.open().Session(c.Context(), repository.SessionOptions{Lease: lease.Options{Keeper: keeper, TTL: ttl}})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _, _ = s.Abort(context.WithoutCancel(c.Context())) }) // of a fenced one it tells that it is
	root, _, err := s.Save(c.Context(), repository.KindTree, c.root)
	if err != nil {
		c.Fatal(err)
	}
	now := time.Now()
	return s, repository.Snapshot{Source: "home", Type: "full", Time: now, Start: now, End: now, Root: root}
}

func (c crew) prune(o prune.Options) prune.Report {
	c.Helper()
	report, err := prune.Run(c.Context(), c.open(), o)
	if err != nil {
		c.Fatal(err)
	}
	return report
}

func (c crew) snapshots() int {
	c.Helper()
	all, damaged, err := c.open().Snapshots(c.Context(), "")
	if err != nil || len(damaged) > 0 {
		c.Fatal(damaged, err)
	}
	return len(all)
}

// TestAWriterThatTheQueueLostIsFenced cuts a writer off from the queue, as a
// machine that stalls is: when its sign has run out a collector takes it for
// dead, it hears of that, and its commit is refused.
func TestAWriterThatTheQueueLostIsFenced(t *testing.T) {
	c := newCrew(t)
	mine, _ := c.connect("collector")
	theirs, cut := c.connect("writer")
	session, snap := c.write(theirs, sessionLife)

	if report := c.prune(prune.Options{Keeper: mine}); len(report.Fenced) > 0 {
		t.Fatalf("a living writer was taken for dead: %v", report.Fenced)
	}
	cut()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if report := c.prune(prune.Options{Keeper: mine}); len(report.Fenced) == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a writer that the queue lost is never taken for dead")
		}
	}
	if _, err := session.Commit(t.Context(), snap); !errors.Is(err, repository.ErrFenced) {
		t.Errorf("it committed: %v", err)
	}
	if n := c.snapshots(); n != 1 {
		t.Errorf("%d snapshots", n)
	}
	// Another attempt is as good as the first.
	theirs, _ = c.connect("writer")
	session, snap = c.write(theirs, sessionLife)
	if _, err := session.Commit(t.Context(), snap); err != nil {
		t.Fatal(err)
	}
	if report := c.prune(prune.Options{Keeper: mine}); len(report.Fenced) > 0 || c.snapshots() != 2 {
		t.Errorf("after the second attempt: fenced %v, %d snapshots", report.Fenced, c.snapshots())
	}
}

// TestAWriterHearsThatItWasFenced does not wait for the commit: the session's
// work is cancelled.
func TestAWriterHearsThatItWasFenced(t *testing.T) {
	c := newCrew(t)
	mine, _ := c.connect("collector")
	theirs, cut := c.connect("writer")
	session, _ := c.write(theirs, sessionLife)
	cut()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c.prune(prune.Options{Keeper: mine})
		_, _, err := session.Save(t.Context(), repository.KindData, []byte(time.Now().String()))
		if errors.Is(err, repository.ErrFenced) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it goes on storing: %v", err)
		}
	}
}

// TestWithoutTheQueueWorkersAreWaitedFor prunes beside a worker's session without
// any connection to the queue: nobody is taken for dead, and what it may rely on
// stays.
func TestWithoutTheQueueWorkersAreWaitedFor(t *testing.T) {
	c := newCrew(t)
	theirs, _ := c.connect("writer")
	session, snap := c.write(theirs, sessionLife) // reuses what the first backup has stored
	if err := c.open().Forget(t.Context(), c.base); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		report := c.prune(prune.Options{})
		if len(report.Fenced) > 0 || report.RemovedPacks > 0 {
			t.Fatalf("fenced %v, removed %d packs", report.Fenced, report.RemovedPacks)
		}
		if len(report.Waiting) == 0 || len(report.Waiting[0].For) != 1 || !report.Waiting[0].For[0].Kept {
			t.Fatalf("waiting %+v", report.Waiting)
		}
		time.Sleep(sessionLife / 3)
	}
	if _, err := session.Commit(t.Context(), snap); err != nil {
		t.Fatal(err)
	}
	// Nobody is left to wait for; what the second snapshot needs is rescued.
	report := c.prune(prune.Options{})
	if len(report.Waiting) > 0 || report.RemovedPacks == 0 || report.RescuedBytes == 0 {
		t.Errorf("at the end: waiting %+v, removed %d packs, rescued %d bytes", report.Waiting, report.RemovedPacks, report.RescuedBytes)
	}
	if report, err := snapshot.Verify(t.Context(), c.open(), snapshot.VerifyOptions{ReadData: 100}); err != nil {
		t.Errorf("the second snapshot is not whole: %v, %+v", err, report.Problems)
	}
}
