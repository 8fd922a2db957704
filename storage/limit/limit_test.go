package limit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/storage"
	"mahavishnu/storage/faults"
	"mahavishnu/storage/limit"
	"mahavishnu/storage/remote"
	"mahavishnu/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func wrap(be storage.Backend, o limit.Options) storage.Backend { return limit.New(o).Wrap(be) }

func put(t *testing.T, be storage.Backend, name string, size int) {
	t.Helper()
	if err := be.Put(t.Context(), name, make([]byte, size), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, be storage.Backend, name string) {
	t.Helper()
	r, err := be.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
}

// about checks a duration to a tenth, and the half second that may be used at once.
func about(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want-want/10-500*time.Millisecond || got > want+want/10+500*time.Millisecond {
		t.Errorf("%s took %v, want about %v", what, got, want)
	}
}

func TestSuite(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Backend {
		return wrap(faults.NewMemory(), limit.Options{Rates: limit.Rates{Up: 1 << 30, Down: 1 << 30, Requests: 1 << 20}, Concurrency: 3})
	})
}

func TestNoLimits(t *testing.T) {
	memory := faults.NewMemory()
	var none *limit.Limits
	if be := none.Wrap(memory); be != storage.Backend(memory) {
		t.Error("no limits at all wrap")
	}
	if be := wrap(memory, limit.Options{Windows: []limit.Window{{From: time.Hour}}}); be != storage.Backend(memory) {
		t.Error("windows that limit nothing wrap")
	}
}

// Bytes are held to the rate, each way by itself.
func TestRates(t *testing.T) {
	for name, o := range map[string]struct {
		rates    limit.Rates
		up, down time.Duration
	}{
		"up":   {limit.Rates{Up: 1 << 20}, 10 * time.Second, 0},
		"down": {limit.Rates{Down: 2 << 20}, 0, 5 * time.Second},
		"both": {limit.Rates{Up: 5 << 20, Down: 1 << 20}, 2 * time.Second, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				be := wrap(faults.NewMemory(), limit.Options{Rates: o.rates})
				begun := time.Now()
				for i := range 10 {
					put(t, be, fmt.Sprint("o", i), 1<<20)
				}
				put(t, be, "last", 0) // waits for what the others owe
				about(t, "writing", time.Since(begun), o.up)
				begun = time.Now()
				for i := range 10 {
					read(t, be, fmt.Sprint("o", i))
				}
				about(t, "reading", time.Since(begun), o.down)
			})
		})
	}
}

// All that is opened with the same limits shares them.
func TestSharedByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Rates: limit.Rates{Up: 1 << 20}})
		begun := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			be := l.Wrap(faults.NewMemory())
			wg.Go(func() {
				for i := range 4 {
					put(t, be, fmt.Sprint("o", i), 1<<20)
				}
			})
		}
		wg.Wait()
		about(t, "20 MiB at 1 MiB/s, but for the last one", time.Since(begun), 19*time.Second)
	})
}

func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		be := wrap(faults.NewMemory(), limit.Options{Rates: limit.Rates{Requests: 10}})
		begun := time.Now()
		for range 100 {
			if err := be.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		about(t, "100 requests at 10 a second", time.Since(begun), 10*time.Second)
	})
}

// A listing is as many requests as it has thousands of names.
func TestListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := faults.NewMemory()
		for i := range 10_000 {
			memory.Set(fmt.Sprintf("a/%05d", i), []byte("x"))
		}
		be := wrap(memory, limit.Options{Rates: limit.Rates{Requests: 1}})
		begun := time.Now()
		names := 0
		if err := be.List(t.Context(), "a/", func(storage.Info) error { names++; return nil }); err != nil || names != 10_000 {
			t.Fatal(names, err)
		}
		about(t, "10 thousand names at one request a second", time.Since(begun), 10*time.Second)
	})
}

// Windows hold from their beginning to their end, on their days, past midnight too.
func TestWindows(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	slow, fast := limit.Rates{Requests: 1}, limit.Rates{Requests: 100}
	for name, c := range map[string]struct {
		window limit.Window
		zone   *time.Location
		at     time.Time
		want   time.Duration // for 100 requests
	}{
		"inside":              {limit.Window{From: 8 * time.Hour, To: 18 * time.Hour, Rates: slow}, nil, time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC), 100 * time.Second},
		"before":              {limit.Window{From: 8 * time.Hour, To: 18 * time.Hour, Rates: slow}, nil, time.Date(2026, 3, 4, 7, 59, 0, 0, time.UTC), time.Second},
		"at its end":          {limit.Window{From: 8 * time.Hour, To: 18 * time.Hour, Rates: slow}, nil, time.Date(2026, 3, 4, 18, 0, 0, 0, time.UTC), time.Second},
		"another zone":        {limit.Window{From: 8 * time.Hour, To: 18 * time.Hour, Rates: slow}, berlin, time.Date(2026, 3, 4, 7, 30, 0, 0, time.UTC), 100 * time.Second},
		"past midnight":       {limit.Window{From: 22 * time.Hour, To: 6 * time.Hour, Rates: slow}, nil, time.Date(2026, 3, 4, 3, 0, 0, 0, time.UTC), 100 * time.Second},
		"the day it began on": {limit.Window{Days: []time.Weekday{time.Tuesday}, From: 22 * time.Hour, To: 6 * time.Hour, Rates: slow}, nil, time.Date(2026, 3, 4, 3, 0, 0, 0, time.UTC), 100 * time.Second},
		"the day after":       {limit.Window{Days: []time.Weekday{time.Wednesday}, From: 22 * time.Hour, To: 6 * time.Hour, Rates: slow}, nil, time.Date(2026, 3, 4, 3, 0, 0, 0, time.UTC), time.Second},
		"none then":           {limit.Window{From: 8 * time.Hour, To: 18 * time.Hour}, nil, time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC), 0},
		"it begins meanwhile": {limit.Window{From: 8 * time.Hour, To: 18 * time.Hour, Rates: slow}, nil, time.Date(2026, 3, 4, 7, 59, 59, 5e8, time.UTC), 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(c.at)) // the clock of these tests begins in 2000
				be := wrap(faults.NewMemory(), limit.Options{Rates: fast, Windows: []limit.Window{c.window}, Zone: c.zone})
				begun := time.Now()
				for range 100 {
					if err := be.Delete(t.Context(), "a"); err != nil {
						t.Fatal(err)
					}
				}
				about(t, "100 requests", time.Since(begun), c.want)
			})
		})
	}
}

// A wait ends with its context, and with its cause.
func TestContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		be := wrap(faults.NewMemory(), limit.Options{Rates: limit.Rates{Up: 1}, Concurrency: 1})
		put(t, be, "a", 1000)
		why := errors.New("lease lost")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		begun := time.Now()
		err := be.Put(ctx, "b", make([]byte, 10), storage.PutOptions{})
		var e *storage.Error
		if !errors.Is(err, why) || time.Since(begun) != time.Second || !errors.As(err, &e) || e.Object != "b" {
			t.Errorf("Put = %v after %v", err, time.Since(begun))
		}
		// Its place is free again.
		if _, err := be.Stat(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	})
}

// gauge counts what is under way at once.
type gauge struct {
	storage.Backend
	now, most atomic.Int64
}

func (g *gauge) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	g.enter()
	defer g.now.Add(-1)
	return g.Backend.Put(ctx, name, data, o)
}

func (g *gauge) Delete(ctx context.Context, name string) error {
	g.enter()
	defer g.now.Add(-1)
	return g.Backend.Delete(ctx, name)
}

func (g *gauge) enter() {
	now := g.now.Add(1)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
	time.Sleep(time.Second)
}

// So many transfers are under way at once, or four times as many small requests.
func TestConcurrency(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(ctx context.Context, be storage.Backend) error
		want int64
	}{
		"large": {func(ctx context.Context, be storage.Backend) error {
			return be.Put(ctx, "a", make([]byte, 2<<20), storage.PutOptions{})
		}, 3},
		"small": {func(ctx context.Context, be storage.Backend) error {
			return be.Put(ctx, "a", make([]byte, 1000), storage.PutOptions{})
		}, 12},
		"deletes": {func(ctx context.Context, be storage.Backend) error { return be.Delete(ctx, "a") }, 12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gauge{Backend: faults.NewMemory()}
				be := wrap(g, limit.Options{Concurrency: 3})
				var wg sync.WaitGroup
				for range 40 {
					wg.Go(func() {
						if err := c.do(t.Context(), be); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if got := g.most.Load(); got != c.want {
					t.Errorf("%d at once, want %d", got, c.want)
				}
			})
		})
	}
}

// Who copies from one object to another, with as many readers open as there are places,
// does not wait for himself.
func TestOpenReadersAreInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := faults.NewMemory()
		memory.Set("a", make([]byte, 4<<20))
		be := wrap(memory, limit.Options{Concurrency: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for range 3 {
			r, err := be.Get(ctx, "a", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			if err := be.Put(ctx, "b", make([]byte, 2<<20), storage.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		err := be.List(ctx, "", func(i storage.Info) error { _, err := be.Stat(ctx, i.Name); return err })
		if err != nil {
			t.Fatal(err)
		}
	})
}

// reading counts how many of its bodies are read at once.
type reading struct{ *gauge }

func (g reading) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	r, err := g.Backend.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	return gauged{r, g.gauge}, nil
}

type gauged struct {
	io.ReadCloser
	g *gauge
}

func (g gauged) Read(p []byte) (int, error) {
	g.g.enter()
	defer g.g.now.Add(-1)
	return g.ReadCloser.Read(p)
}

// So many bodies are read at once.
func TestReadersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := faults.NewMemory()
		memory.Set("a", make([]byte, 1<<20))
		g := &gauge{Backend: memory}
		be := wrap(reading{g}, limit.Options{Concurrency: 3})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { read(t, be, "a") })
		}
		wg.Wait()
		if got := g.most.Load(); got != 3 {
			t.Errorf("%d bodies were read at once, want 3", got)
		}
	})
}

// over is a backend that sends what is put to a server.
type over struct {
	storage.Backend
	client *http.Client
	url    string
}

func (o over) Put(ctx context.Context, _ string, data []byte, _ storage.PutOptions) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, o.url, strings.NewReader(string(data)))
	if err != nil {
		return err
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// What goes over a network is sent at the pace of the limit, one object too.
func TestBodiesAreSentEvenly(t *testing.T) {
	var received atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		received.Add(n)
	}))
	defer s.Close()
	client, err := remote.Client(remote.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	be := wrap(over{faults.NewMemory(), client, s.URL}, limit.Options{Rates: limit.Rates{Up: 1 << 20}})
	begun := time.Now()
	put(t, be, "a", 1<<20)
	// A machine that is busy takes longer; none takes less than the rate allows.
	if took := time.Since(begun); took < 600*time.Millisecond || received.Load() != 1<<20 {
		t.Errorf("%d bytes at 1 MiB/s were sent in %v", received.Load(), took)
	}
}

// Many objects that are put at once into a directory share the rate from the first byte on.
func TestManyAtOnceIntoADirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		be := limit.New(limit.Options{Rates: limit.Rates{Up: 20 << 20}}).WrapWhole(faults.NewMemory())
		began := time.Now()
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() { put(t, be, fmt.Sprintf("packs/%d", i), 16<<20) })
		}
		group.Wait()
		put(t, be, "packs/last", 1)
		about(t, "128 MiB at 20 MiB a second", time.Since(began), 6400*time.Millisecond)
	})
}
