package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/remote"
	"mahavishnu/storage/retry"
	"mahavishnu/storage/storagetest/wire"
)

// Reach opens the bare backend of a place: the prefix, below a server that is reached
// through an endpoint, with wrap around its transport. It is opened as often as
// Reach is called, without retries.
type Reach func(t *testing.T, endpoint, prefix string, wrap func(http.RoundTripper) http.RoundTripper) storage.Backend

// RunWire checks what a backend with retries makes of a network and a server that
// fail, each in every way that a proxy can play: no wrong byte, no lost object, and a
// clear end. server is the URL of a server of the dialect, without a path.
func RunWire(t *testing.T, d wire.Dialect, server string, open Reach) {
	for name, test := range map[string]func(*testing.T, *network){
		"Storm": testStorm, "Expired": testExpired, "Cut": testCut, "Changed": testChanged, "Asked": testAsked, "Denied": testDenied,
		"Words": testWords,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newNetwork(t, d, server, "wire-"+strings.ToLower(name), open))
		})
	}
	for _, f := range failures {
		t.Run("Faults/"+f.name, func(t *testing.T) {
			t.Parallel()
			testFailure(t, newNetwork(t, d, server, "wire-"+f.name, open), f)
		})
	}
}

// network is a place behind a proxy that breaks things.
type network struct {
	proxy *wire.Proxy
	// far goes through the proxy, with retries; bare likewise, without. near asks the server itself.
	far, bare, near storage.Backend

	mu    sync.Mutex
	waits []time.Duration // of far, before repetitions
}

// patienceHere is how long a request waits for a server that does not answer. Real
// answers take milliseconds; one that takes longer is asked for again.
const patienceHere = 700 * time.Millisecond

func newNetwork(t *testing.T, d wire.Dialect, server, prefix string, open Reach) *network {
	n := &network{proxy: wire.New(t, d, server)}
	n.bare = open(t, n.proxy.URL(), prefix, remote.Patience(patienceHere))
	n.near = open(t, server, prefix, nil)
	n.far = retry.Wrap(n.bare, retry.Options{
		Attempts: 8, First: 2 * time.Millisecond, Longest: 20 * time.Millisecond, Elapsed: time.Minute,
		Observe: func(_ string, _ error, wait time.Duration) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.waits = append(n.waits, wait)
		},
	})
	return n
}

// failure is one way to fail.
type failure struct {
	name  string
	times int
	does  func(*wire.Rule)
}

var failures = []failure{
	{"refused", 3, (*wire.Rule).Refuse},
	{"hung-up", 3, (*wire.Rule).HangUp},
	{"reset-midway", 3, (*wire.Rule).Reset},
	{"answer-lost", 2, (*wire.Rule).LoseAnswer},
	{"internal-error", 3, func(r *wire.Rule) { r.Status(http.StatusInternalServerError) }},
	{"bad-gateway", 3, func(r *wire.Rule) { r.Status(http.StatusBadGateway) }},
	{"unavailable", 3, func(r *wire.Rule) { r.Status(http.StatusServiceUnavailable) }},
	{"too-many", 3, func(r *wire.Rule) { r.Status(http.StatusTooManyRequests) }},
	{"request-timeout", 1, func(r *wire.Rule) { r.Status(http.StatusRequestTimeout) }},
	{"no-answer", 1, (*wire.Rule).Stall},
	{"stands-still", 1, (*wire.Rule).StallMidway},
	{"truncated", 3, func(r *wire.Rule) { r.Truncate(1000) }},
	{"empty", 3, func(r *wire.Rule) { r.Truncate(0) }},
	{"slow", 1, func(r *wire.Rule) { r.Slow(1 << 20) }},
	{"wrong-etag", 3, (*wire.Rule).WrongETag},
}

// testFailure lets each operation meet one failure, and wants it to do what it should
// all the same.
func testFailure(t *testing.T, n *network, f failure) {
	const size = 300_000
	want, other := pattern(size), bytes.Repeat([]byte("other"), size/5)
	for _, name := range []string{"read/a", "gone/a"} {
		put(t, n.near, name, want, storage.PutOptions{})
	}
	for i := range 3 {
		put(t, n.near, fmt.Sprintf("list/%d", i), []byte("list/0"), storage.PutOptions{})
	}
	for _, step := range []struct {
		name string
		kind wire.Kind
		do   func(t *testing.T)
	}{
		{"put", wire.Put, func(t *testing.T) { put(t, n.far, "new/a", want, storage.PutOptions{Sync: true}) }},
		{"replace", wire.Put, func(t *testing.T) { put(t, n.far, "new/a", other, storage.PutOptions{}) }},
		{"conditional put", wire.Put, func(t *testing.T) { put(t, n.far, "new/b", want, storage.PutOptions{IfAbsent: true}) }},
		{"refused put", wire.Put, func(t *testing.T) {
			if err := n.far.Put(t.Context(), "read/a", other, storage.PutOptions{IfAbsent: true}); !errors.Is(err, storage.ErrExists) {
				t.Errorf("a conditional put of a name that is taken: %v", err)
			}
		}},
		{"get", wire.Get, func(t *testing.T) { wantBytes(t, n.far, "read/a", 0, -1, want) }},
		{"range", wire.Get, func(t *testing.T) { wantBytes(t, n.far, "read/a", 1234, 200_000, want[1234:201_234]) }},
		{"end", wire.Get, func(t *testing.T) { wantBytes(t, n.far, "read/a", 100_000, -1, want[100_000:]) }},
		{"stat", wire.Stat, func(t *testing.T) {
			if info, err := n.far.Stat(t.Context(), "read/a"); err != nil || info.Size != size {
				t.Errorf("Stat = %+v, %v", info, err)
			}
		}},
		{"list", wire.List, func(t *testing.T) {
			if got := list(t, n.far, "list/"); !slices.Equal(got, []string{"list/0", "list/1", "list/2"}) {
				t.Errorf("List = %q", got)
			}
		}},
		{"delete", wire.Delete, func(t *testing.T) {
			if err := n.far.Delete(t.Context(), "gone/a"); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}},
	} {
		t.Run(step.name, func(t *testing.T) {
			n.proxy.Reset()
			f.does(n.proxy.On(step.kind).Times(f.times))
			step.do(t)
			if n.proxy.Struck() == 0 {
				t.Errorf("nothing failed: requests were %v", n.proxy.Counts())
			}
		})
	}
	n.proxy.Reset()
	wantBytes(t, n.near, "read/a", 0, -1, want)
	wantBytes(t, n.near, "new/a", 0, -1, other)
	wantBytes(t, n.near, "new/b", 0, -1, want)
	_, err := n.near.Stat(t.Context(), "gone/a")
	wantMissing(t, "Stat", "gone/a", err)
}

// testWords wants each failure said as what it is: one that may pass, of this operation on
// this object, and neither the end of what is read nor a truncated object.
func testWords(t *testing.T, n *network) {
	put(t, n.near, "a", pattern(300_000), storage.PutOptions{})
	for name, step := range map[string]struct {
		kind wire.Kind
		do   func() error
	}{
		"put":    {wire.Put, func() error { return n.bare.Put(t.Context(), "b", pattern(300_000), storage.PutOptions{}) }},
		"get":    {wire.Get, func() error { _, err := Read(t.Context(), n.bare, "a", 0, -1); return err }},
		"range":  {wire.Get, func() error { _, err := Read(t.Context(), n.bare, "a", 0, 200_000); return err }},
		"stat":   {wire.Stat, func() error { _, err := n.bare.Stat(t.Context(), "a"); return err }},
		"list":   {wire.List, func() error { return n.bare.List(t.Context(), "", func(storage.Info) error { return nil }) }},
		"delete": {wire.Delete, func() error { return n.bare.Delete(t.Context(), "c") }},
	} {
		for _, f := range failures {
			n.proxy.Reset()
			f.does(n.proxy.On(step.kind).Times(3))
			err := step.do()
			if err == nil {
				continue // it does not reach this operation, or net/http asked again itself
			}
			var e *storage.Error
			if !errors.As(err, &e) || e.Op == "" || e.Object == "" || !remote.Temporary(err) || errors.Is(err, storage.ErrShort) || errors.Is(err, io.EOF) {
				t.Errorf("%s, %s: %v (%[3]T)", name, f.name, err)
			}
		}
	}
}

func wantBytes(t *testing.T, be storage.Backend, name string, offset, length int64, want []byte) {
	t.Helper()
	if got := read(t, be, name, offset, length); !bytes.Equal(got, want) {
		t.Errorf("%s [%d, +%d]: %d bytes come back, and they are not the %d that were put", name, offset, length, len(got), len(want))
	}
}

// testStorm works while a fifth of all requests fail in one way or another: what was
// confirmed is there, whole, and nothing else is.
func testStorm(t *testing.T, n *network) {
	for i, f := range []func(*wire.Rule){
		(*wire.Rule).Refuse, (*wire.Rule).Reset, (*wire.Rule).LoseAnswer, func(r *wire.Rule) { r.Truncate(5000) },
		func(r *wire.Rule) { r.Status(http.StatusServiceUnavailable) }, func(r *wire.Rule) { r.Status(http.StatusInternalServerError) },
	} {
		f(n.proxy.On(wire.Any).Every(23 + 6*i))
	}
	const workers, each = 4, 10
	data := func(name string) []byte { return append([]byte(name), pattern(30_000+len(name)*1000)...) }
	var all []string
	var wg sync.WaitGroup
	for w := range workers {
		for i := range each {
			all = append(all, fmt.Sprintf("w/%d/%d", w, i))
		}
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("w/%d/%d", w, i)
				if err := n.far.Put(t.Context(), name, data(name), storage.PutOptions{IfAbsent: i%2 == 0}); err != nil {
					t.Errorf("Put %s: %v", name, err)
				}
				got, err := Read(t.Context(), n.far, name, 0, -1)
				if err != nil || !bytes.Equal(got, data(name)) {
					t.Errorf("Get %s: %d bytes, %v", name, len(got), err)
				}
				if i%5 == 4 {
					if err := n.far.Delete(t.Context(), name); err != nil {
						t.Errorf("Delete %s: %v", name, err)
					}
				}
			}
		})
	}
	wg.Wait()
	left := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name[4] == '4' || name[4] == '9' })
	for where, be := range map[string]storage.Backend{"the link that fails": n.far, "the server itself": n.near} {
		var got []string
		if err := be.List(t.Context(), "w/", func(i storage.Info) error { got = append(got, i.Name); return nil }); err != nil {
			t.Errorf("List over %s: %v", where, err)
		}
		if slices.Sort(got); !slices.Equal(got, left) {
			t.Errorf("%s has %q, want %q", where, got, left)
		}
	}
	for _, name := range left {
		wantBytes(t, n.near, name, 0, -1, data(name))
	}
	if n.proxy.Struck() < workers {
		t.Errorf("only %d requests failed", n.proxy.Struck())
	}
}

// testExpired lets the credentials expire in the middle: that is told at once and
// as what it is, nothing confirmed is lost, and work goes on when they are good again.
func testExpired(t *testing.T, n *network) {
	for i := range 5 {
		put(t, n.far, fmt.Sprintf("before/%d", i), []byte("before/0"), storage.PutOptions{Sync: true})
	}
	n.proxy.Expire()
	began := n.proxy.Requests()
	for name, do := range map[string]func() error{
		"put":    func() error { return n.far.Put(t.Context(), "after/a", pattern(100_000), storage.PutOptions{}) },
		"get":    func() error { _, err := Read(t.Context(), n.far, "before/0", 0, -1); return err },
		"stat":   func() error { _, err := n.far.Stat(t.Context(), "before/0"); return err },
		"list":   func() error { return n.far.List(t.Context(), "before/", func(storage.Info) error { return nil }) },
		"delete": func() error { return n.far.Delete(t.Context(), "before/0") },
	} {
		err := do()
		if !errors.Is(err, storage.ErrDenied) {
			t.Errorf("%s with expired credentials: %v, want ErrDenied", name, err)
		}
		wantClear(t, name, err)
	}
	if asked := n.proxy.Requests() - began; asked > 5*3 {
		t.Errorf("%d requests for 5 operations that are refused for good", asked)
	}
	if got := list(t, n.near, "before/"); len(got) != 5 {
		t.Errorf("the server has %q of what was confirmed", got)
	}
	n.proxy.Reset()
	put(t, n.far, "after/a", pattern(100_000), storage.PutOptions{})
	wantBytes(t, n.near, "after/a", 0, -1, pattern(100_000))
}

// testDenied refuses one operation alone: the others go on, and it is not repeated.
func testDenied(t *testing.T, n *network) {
	put(t, n.near, "a", []byte("a"), storage.PutOptions{})
	n.proxy.On(wire.Delete).Times(-1).Deny()
	err := n.far.Delete(t.Context(), "a")
	if !errors.Is(err, storage.ErrDenied) {
		t.Errorf("Delete without the right to: %v, want ErrDenied", err)
	}
	wantClear(t, "delete", err)
	if n.proxy.Struck() > 2 {
		t.Errorf("a refused delete was asked for %d times", n.proxy.Struck())
	}
	put(t, n.far, "b", []byte("b"), storage.PutOptions{})
	wantBytes(t, n.far, "a", 0, -1, []byte("a"))
}

// testCut takes the link away: every operation ends with an error that says so, after a
// bounded number of requests; and all goes on when the link is back.
func testCut(t *testing.T, n *network) {
	put(t, n.near, "a", []byte("a"), storage.PutOptions{})
	far := retry.Wrap(n.bare, retry.Options{
		Attempts: 3, First: time.Millisecond, Longest: 2 * time.Millisecond, Elapsed: time.Minute, Dead: time.Millisecond,
	})
	n.proxy.Cut(true)
	for range 2 {
		for name, do := range map[string]func() error{
			"put":    func() error { return far.Put(t.Context(), "b", []byte("b"), storage.PutOptions{IfAbsent: true}) },
			"get":    func() error { _, err := Read(t.Context(), far, "a", 0, -1); return err },
			"stat":   func() error { _, err := far.Stat(t.Context(), "a"); return err },
			"list":   func() error { return far.List(t.Context(), "", func(storage.Info) error { return nil }) },
			"delete": func() error { return far.Delete(t.Context(), "a") },
		} {
			err := do()
			if err == nil || !strings.Contains(err.Error(), "gave up after") || !remote.Temporary(err) {
				t.Errorf("%s without a link: %v", name, err)
			}
			wantClear(t, name, err)
		}
	}
	if got := n.proxy.Requests(); got > 2*5*3*2 {
		t.Errorf("%d requests to a server that is not there", got)
	}
	n.proxy.Reset()
	wantBytes(t, far, "a", 0, -1, []byte("a"))
	put(t, far, "b", []byte("b"), storage.PutOptions{IfAbsent: true})
}

// wantClear checks that an error says what failed, with which object, and what to do.
func wantClear(t *testing.T, what string, err error) {
	t.Helper()
	var e *storage.Error
	if !errors.As(err, &e) || e.Op == "" || e.Object == "" || e.Hint == "" {
		t.Errorf("%s: the error %q lacks the operation, the object or a hint", what, err)
	}
	if errors.Is(err, io.EOF) {
		t.Errorf("%s: the error %q passes for the end of what is read", what, err)
	}
}

// testChanged flips bits on the way: up they are found by the server or the answer,
// down before the last byte is handed out. Ranges are left out, since not every
// service has a checksum of them; what is stored in them is sealed anyway.
func testChanged(t *testing.T, n *network) {
	want := pattern(300_000)
	n.proxy.On(wire.Put).Times(2).Flip()
	put(t, n.far, "a", want, storage.PutOptions{})
	if n.proxy.Struck() != 2 {
		t.Errorf("%d of 2 changed puts were made", n.proxy.Struck())
	}
	wantBytes(t, n.near, "a", 0, -1, want)

	n.proxy.Reset()
	n.proxy.On(wire.Get).Flip()
	if got, err := Read(t.Context(), n.far, "a", 0, -1); !errors.Is(err, storage.ErrDamaged) || len(got) == len(want) {
		t.Errorf("a changed body: %d bytes, %v; want ErrDamaged before all are handed out", len(got), err)
	}
	n.proxy.On(wire.Get).Flip()
	if got, err := storage.ReadAll(t.Context(), n.far, "a", int64(len(want)), nil); err != nil || !bytes.Equal(got, want) {
		t.Errorf("reading again after a changed body: %d bytes, %v", len(got), err)
	}
	n.proxy.On(wire.Get).Times(-1).Flip()
	if got, err := storage.ReadAll(t.Context(), n.far, "a", int64(len(want)), nil); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("bodies that always change: %d bytes, %v; want ErrDamaged", len(got), err)
	}
}

// testAsked wants the wait that a server asks for.
func testAsked(t *testing.T, n *network) {
	for _, code := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		n.proxy.Reset()
		n.mu.Lock()
		n.waits = nil
		n.mu.Unlock()
		n.proxy.On(wire.Put).Status(code, "Retry-After: 1")
		put(t, n.far, "a", []byte("a"), storage.PutOptions{})
		n.mu.Lock()
		if len(n.waits) != 1 || n.waits[0] < time.Second {
			t.Errorf("after %d with Retry-After: 1 the waits were %v, want one of at least a second", code, n.waits)
		}
		n.mu.Unlock()
	}
}
