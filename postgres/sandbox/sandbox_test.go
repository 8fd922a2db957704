package sandbox_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/postgres/pgtest"
	"mahavishnu/postgres/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// to is a client of a member.
func to(m *pgtest.Member) sandbox.Client {
	return sandbox.Client{
		ConnectTimeout: 5 * time.Second, WriteTimeout: 500 * time.Millisecond, Pause: time.Millisecond,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(m.Options.Host, fmt.Sprint(m.Options.Port)))
		},
	}
}

// writer notes what a client hears.
type writer struct {
	mu     sync.Mutex
	next   int64
	acked  []int64
	dirs   map[string]bool
	broken int
}

func (w *writer) number() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	return w.next
}

func (w *writer) took(row int64, dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked = append(w.acked, row)
	w.dirs[dir] = true
}

func (w *writer) failed(error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken++
}

func (w *writer) has() (acked, broken int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked), w.broken
}

// A client goes on after its server hung, knows who acknowledged what, and finds what is
// missing elsewhere.
func TestAClientWritesThroughAServerThatHangs(t *testing.T) {
	g := pgtest.New(t)
	a := g.Primary("a")
	c := to(a)
	if err := c.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &writer{dirs: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() { c.Write(ctx, w.number, w.took, w.failed) })
	rows := func(n int) func() bool { return func() bool { acked, _ := w.has(); return acked >= n } }
	pgtest.Until(t, "rows are acknowledged", rows(10))
	if err := sandbox.FreezeAll(a.DataDir()); err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "the client gives up", func() bool { _, broken := w.has(); return broken > 0 })
	before, _ := w.has()
	if err := sandbox.ThawAll(a.DataDir()); err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "it goes on", rows(before+10))
	cancel()
	writing.Wait()
	if len(w.dirs) != 1 || !w.dirs[a.DataDir()] {
		t.Errorf("acknowledged by %v", w.dirs)
	}
	missing, err := c.Missing(t.Context(), append(slices.Clone(w.acked), 1<<40))
	if err != nil || !slices.Equal(missing, []int64{1 << 40}) {
		t.Errorf("missing %v, %v", missing, err)
	}
	if err := sandbox.KillAll(a.DataDir()); err != nil {
		t.Fatal(err)
	}
	pgtest.Until(t, "nothing of it is left", func() bool { return len(a.Pids()) == 0 && sandbox.Postmaster(a.DataDir()) == 0 })
}

// A standby takes no writes until it is promoted, and who waits is told when it does.
func TestAStandbyIsAwaited(t *testing.T) {
	g := pgtest.New(t)
	a := g.Primary("a")
	if err := to(a).Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := g.Standby("b", a)
	early, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := to(b).AwaitWritable(early); err == nil {
		t.Error("a standby took a write")
	}
	type answer struct {
		at  time.Time
		err error
	}
	told := make(chan answer, 1)
	go func() {
		at, err := to(b).AwaitWritable(t.Context())
		told <- answer{at, err}
	}()
	sandbox.Kill(a.DataDir())
	promoting := time.Now()
	if _, err := b.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-told; got.err != nil || got.at.Before(promoting) {
		t.Errorf("told of %v after %v, %v", got.at, promoting, got.err)
	}
}
