package route_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/clock"
	"mahavishnu/coordinator/route"
	"mahavishnu/coordinator/route/routetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var pg1, pg2 = routetest.Targets()[0], routetest.Targets()[1]

// memory is a register in this process; before, when set, is called at the start
// of every swap and may fail it.
type memory struct {
	mu     sync.Mutex
	held   route.State
	writes int
	before func(*memory) error
	after  error // what a swap that was made returns
	down   error
}

func (m *memory) Read(context.Context) (route.Held, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return route.Held{State: m.held, Exact: m.held.Epoch}, m.down
}

func (m *memory) Swap(_ context.Context, old route.Held, next route.State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		if err := m.before(m); err != nil {
			return err
		}
	}
	if old.Exact != m.held.Epoch {
		return route.ErrChanged
	}
	m.held, m.writes = next, m.writes+1
	err := m.after
	m.after = nil
	return err
}

// set is somebody else's hand.
func (m *memory) set(held route.State, down error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held, m.down = held, down
}

// router makes a route.Router of a register.
type router struct{ *memory }

func (r router) Point(ctx context.Context, t route.Target, epoch uint64) error {
	return route.Advance(ctx, r.memory, t, epoch)
}

func (r router) Current(ctx context.Context) (route.Target, uint64, error) {
	h, err := r.Read(ctx)
	return h.Target, h.Epoch, err
}

func (r router) Check(ctx context.Context) error {
	_, err := r.Read(ctx)
	return err
}

func TestConformanceOfAdvance(t *testing.T) {
	routetest.Run(t, func(*testing.T) routetest.Subject {
		m := &memory{}
		return routetest.Subject{Open: func(*testing.T) route.Router { return router{m} }}
	})
}

func TestConformanceOfGroup(t *testing.T) {
	routetest.Run(t, func(*testing.T) routetest.Subject {
		places := []*memory{{}, {}, {}}
		return routetest.Subject{Open: func(t *testing.T) route.Router { return group(t, route.GroupOptions{}, places...) }}
	})
}

func TestAdvanceSettlesUnknownOutcomes(t *testing.T) {
	m := &memory{after: route.ErrUnknown}
	if err := route.Advance(t.Context(), m, pg1, 7); err != nil || m.writes != 1 {
		t.Errorf("a change whose answer was lost: %v, written %d times", err, m.writes)
	}
	lost := 2
	m.before = func(*memory) error {
		if lost--; lost >= 0 {
			return route.ErrUnknown
		}
		return nil
	}
	if err := route.Advance(t.Context(), m, pg2, 8); err != nil || m.writes != 2 {
		t.Errorf("a change that got lost twice: %v, written %d times", err, m.writes)
	}
	m.before = func(*memory) error { return route.ErrUnknown }
	if err := route.Advance(t.Context(), m, pg1, 9); !errors.Is(err, route.ErrUnknown) {
		t.Errorf("a change that always gets lost: %v", err)
	}
	m.before = func(m *memory) error { // a newer coordinator is faster
		m.held = route.State{Epoch: 12, Target: pg2}
		return nil
	}
	err := route.Advance(t.Context(), m, pg1, 11)
	var stale *route.StaleError
	if !errors.As(err, &stale) || stale.Held.Epoch != 12 || stale.FaultHint() == "" || !strings.Contains(err.Error(), "12") {
		t.Errorf("a race that was lost: %v", err)
	}
	m.before = func(*memory) error { return errors.New("no rights") }
	if err := route.Advance(t.Context(), m, pg1, 13); err == nil || errors.Is(err, route.ErrUnknown) || m.held.Epoch != 12 {
		t.Errorf("a change that is refused: %v", err)
	}
}

func group(t *testing.T, o route.GroupOptions, places ...*memory) *route.Group {
	t.Helper()
	var all []route.Place
	for i, m := range places {
		all = append(all, route.Place{Name: "ns" + string(rune('1'+i)), Router: router{m}})
	}
	g, err := route.NewGroup(all, o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGroupNeedsAMajority(t *testing.T) {
	a, b, c := &memory{}, &memory{}, &memory{}
	var lagged []string
	g := group(t, route.GroupOptions{OnLag: func(place string, _ error) { lagged = append(lagged, place) }}, a, b, c)
	c.down = errors.New("cut off")
	if err := g.Point(t.Context(), pg1, 41); err != nil || len(lagged) != 1 || lagged[0] != "ns3" {
		t.Errorf("two of three: %v, lagging %v", err, lagged)
	}
	b.down = c.down
	if err := g.Point(t.Context(), pg2, 42); err == nil || errors.Is(err, route.ErrStale) {
		t.Errorf("one of three: %v", err)
	}
	if _, _, err := g.Current(t.Context()); err == nil {
		t.Error("one of three answers for all")
	}
	// The majority that comes back knows nothing of 42, but a stale coordinator that
	// meets the one that does is refused.
	b.down = nil
	if target, epoch, err := g.Current(t.Context()); err != nil || epoch != 41 || target.Member != "pg1" {
		t.Errorf("two of three reached %v with %d: %v", target, epoch, err)
	}
	if err := g.Point(t.Context(), pg1, 41); !errors.Is(err, route.ErrStale) {
		t.Errorf("a stale epoch: %v", err)
	}
	if err := g.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "cut off") || !strings.Contains(err.Error(), "epoch 41") {
		t.Errorf("check: %v", err)
	}
	if _, err := route.NewGroup(nil, route.GroupOptions{}); err == nil {
		t.Error("a group of none")
	}
}

// slow is a place that answers nothing before its context ends.
type slow struct{ router }

func (slow) Point(ctx context.Context, _ route.Target, _ uint64) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestGroupDoesNotWaitForTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := route.NewGroup([]route.Place{
			{Name: "ns1", Router: router{&memory{}}}, {Name: "ns2", Router: slow{}}, {Name: "ns3", Router: router{&memory{}}},
		}, route.GroupOptions{Straggle: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := g.Point(t.Context(), pg1, 1); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestKeepMends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		var was []route.State
		var failures int
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		var epoch atomic.Uint64
		go func() {
			ended <- route.Keep(ctx, route.KeepOptions{
				Router: router{m}, Every: time.Minute, Clock: clock.System(),
				Want:     func() (route.Target, uint64, bool) { return pg2, epoch.Load(), epoch.Load() > 0 },
				OnMended: func(s route.State) { was = append(was, s) },
				OnError:  func(error) { failures++ },
			})
		}()
		// Whoever waits beside Keep's timer is told nothing by it: what both use is locked.
		wait := func() { time.Sleep(time.Minute); synctest.Wait() }
		wait()
		if m.writes != 0 {
			t.Error("who has no say pointed clients somewhere")
		}
		epoch.Store(42)
		wait()
		if m.held.Epoch != 42 || len(was) != 1 || was[0].Epoch != 0 {
			t.Errorf("it holds %+v, was %+v", m.held, was)
		}
		wait()
		if m.writes != 1 {
			t.Error("what was well was written again")
		}
		m.set(route.State{Epoch: 40, Target: pg1}, nil) // it came back from its backup
		wait()
		if m.held.Epoch != 42 || len(was) != 2 || was[1].Epoch != 40 {
			t.Errorf("it holds %+v, was %+v", m.held, was)
		}
		m.set(m.held, errors.New("cut off"))
		wait()
		m.set(route.State{Epoch: 50, Target: pg1}, nil) // a newer coordinator
		wait()
		if m.held.Epoch != 50 || failures != 1 {
			t.Errorf("it holds %+v after %d failures", m.held, failures)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestFileRemembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f := route.NewFile(path)
	if r, err := f.Load(); err != nil || r.Promised != 0 {
		t.Errorf("before anything: %+v, %v", r, err)
	}
	want := route.Remembered{Promised: 43, State: route.State{Epoch: 42, Target: pg1}}
	for range 2 {
		if err := f.Store(want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := route.NewFile(path).Load()
	if err != nil || got.Promised != 43 || got.Epoch != 42 || !got.Target.Equal(pg1) {
		t.Errorf("remembered %+v, %v", got, err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); err == nil {
		t.Error("a damaged file is taken for one that remembers nothing")
	}
	if err := route.NewFile(filepath.Join(path, "no", "directory")).Store(want); err == nil {
		t.Error("stored in a directory that is none")
	}
}

// hung is a place whose calls never return, whatever they are told.
type hung struct{ until chan struct{} }

func (h hung) Point(context.Context, route.Target, uint64) error { <-h.until; return nil }
func (h hung) Check(context.Context) error                       { <-h.until; return nil }
func (h hung) Current(context.Context) (route.Target, uint64, error) {
	<-h.until
	return route.Target{}, 0, nil
}

// A place that hangs holds nobody up: one that follows the lease by itself is not needed,
// and one that is needed makes the change fail when the caller's time is up.
func TestAPlaceThatHangs(t *testing.T) {
	h := hung{make(chan struct{})}
	defer close(h.until)
	m := &memory{}
	for _, follows := range []bool{true, false} {
		var lagged []string
		g, err := route.NewGroup([]route.Place{{Name: "dns", Router: router{m}}, {Name: "front", Router: h, Follows: follows}},
			route.GroupOptions{Need: map[bool]int{true: 1, false: 2}[follows], Straggle: time.Millisecond, OnLag: func(place string, _ error) { lagged = append(lagged, place) }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := g.Point(ctx, pg2, 42); (err == nil) != follows {
			t.Errorf("follows %v: %v", follows, err)
		}
		if follows && strings.Join(lagged, " ") != "front" {
			t.Errorf("told of %v", lagged)
		}
		if now, epoch, err := g.Current(ctx); follows && (err != nil || epoch != 42 || now.Member != pg2.Member) || !follows && err == nil {
			t.Errorf("follows %v: it leads to %v with epoch %d, %v", follows, now, epoch, err)
		}
		if err := g.Check(ctx); err == nil {
			t.Errorf("follows %v: a place that hangs is well", follows)
		}
	}
	if _, err := route.NewGroup([]route.Place{{Name: "dns", Router: router{m}}, {Name: "front", Router: h, Follows: true}}, route.GroupOptions{Need: 2}); err == nil {
		t.Error("a place that follows by itself was counted")
	}
}

// An address record has no port: what a place has no room for is no disagreement.
func TestPlacesShowWhatTheyHaveRoomFor(t *testing.T) {
	bare := &memory{held: route.State{Epoch: 7, Target: route.Target{Member: pg1.Member, Addresses: pg1.Addresses}}}
	whole, other := &memory{held: route.State{Epoch: 7, Target: pg1}}, pg1
	other.Addresses = pg2.Addresses
	for _, c := range []struct {
		with *memory
		well bool
	}{{whole, true}, {&memory{held: route.State{Epoch: 7, Target: other}}, false}, {&memory{held: route.State{Epoch: 8, Target: pg1}}, false}} {
		g, err := route.NewGroup([]route.Place{{Name: "dns", Router: router{bare}}, {Name: "front", Router: router{c.with}}}, route.GroupOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Check(t.Context()); (err == nil) != c.well {
			t.Errorf("%+v: %v", c.with.held, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name route.Name
		want []string
	}{
		{route.Name{Name: "DB.example.test", Kind: route.KindAddress}, []string{"db.example.test. A 192.0.2.1", "db.example.test. AAAA 2001:db8::1"}},
		{route.Name{Name: "db.example.test.", Kind: route.KindAlias}, []string{"db.example.test. CNAME pg1.example.test."}},
		{route.Name{Name: "_pg._tcp.db.example.test", Kind: route.KindService}, []string{"_pg._tcp.db.example.test. SRV 0 0 5432 pg1.example.test."}},
	} {
		if err := c.name.Check(); err != nil {
			t.Error(err)
		}
		records, err := c.name.Records(pg1)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range records {
			got = append(got, r.Name+" "+r.Type+" "+r.Value)
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("records %q", got)
		}
		back, err := c.name.Target("pg1", append(records, route.Record{Name: "x.", Type: "TXT", Value: "?"}))
		if err != nil || !back.Equal(c.name.Seen(pg1)) {
			t.Errorf("read back as %v: %v", back, err)
		}
		if _, err := c.name.Records(route.Target{Member: "pg3"}); err == nil {
			t.Errorf("%s leads to a member that cannot be reached", c.name.Kind)
		}
	}
	for _, bad := range []string{"", ".", "a..b", "a b", "ä.test", strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 130) + "test", "a;b.test", `a".test`} {
		if err := (route.Name{Name: bad, Kind: route.KindAddress}).Check(); err == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
}

func TestTargets(t *testing.T) {
	for what, bad := range map[string]route.Target{
		"no name":           {Host: "a.test"},
		"a name with a dot": {Member: "pg.1", Host: "a.test"},
		"a zero address":    {Member: "pg1", Addresses: []netip.Addr{{}}},
		"any address":       {Member: "pg1", Addresses: []netip.Addr{netip.IPv6Unspecified()}},
		"a link's address":  {Member: "pg1", Addresses: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}},
		"a bad host":        {Member: "pg1", Host: "a b"},
		"nothing":           {Member: "pg1"},
	} {
		if err := bad.Check(); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	if got := pg1.String(); got != "pg1 (192.0.2.1, 2001:db8::1, pg1.example.test., port 5432)" {
		t.Error(got)
	}
	if got := pg1.Dialable(); strings.Join(got, " ") != "192.0.2.1:5432 [2001:db8::1]:5432 pg1.example.test:5432" {
		t.Error(got)
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add("epoch=42", "member=pg1")
	f.Add("epoch=+1", "member=")
	f.Add("epoch=007", "member=a")
	f.Fuzz(func(t *testing.T, a, b string) {
		m, err := route.ParseMark([]string{a, b})
		if err == nil && (m.Strings()[0] != a || m.Strings()[1] != b) {
			t.Errorf("%q %q was read as %v", a, b, m)
		}
	})
}
