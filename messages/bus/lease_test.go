package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/messages"
)

// memory is a bucket of one key with the compare-and-set of the real one, for
// tests under synthetic time. Every call takes a moment, and may be made to fail.
type memory struct {
	mu       sync.Mutex
	revision uint64
	value    Value
	watchers map[chan Value]bool
	pending  bool          // a write is under way
	ahead    time.Duration // of the clock of who writes, before that of who tells the time
	// mishap is asked at every write; see the constants.
	mishap func(holder string) mishap
}

type mishap int

const (
	fine mishap = iota
	// unreachable: the write is not done, the caller hears nothing.
	unreachable
	// unheard: the write is done, the caller hears nothing.
	unheard
	// underWay: likewise, but it is done only after a while. Until then the bucket shows what it
	// held, and refuses other writes.
	underWay
)

const trip = 5 * time.Millisecond

func newMemory() *memory { return &memory{watchers: map[chan Value]bool{}} }

func (m *memory) Get(ctx context.Context, _ string) (Value, error) {
	time.Sleep(trip)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revision == 0 {
		return Value{}, ErrNotFound
	}
	return m.value, context.Cause(ctx)
}

func (m *memory) Create(ctx context.Context, key string, data []byte) (uint64, error) {
	revision, err := m.Update(ctx, key, data, 0)
	if errors.Is(err, ErrConflict) {
		return 0, ErrExists
	}
	return revision, err
}

func (m *memory) Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	lease, err := messages.DecodeLease(data)
	if err != nil {
		return 0, err
	}
	f := fine
	if m.mishap != nil {
		f = m.mishap(lease.Holder)
	}
	if f == unreachable {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	time.Sleep(trip)
	m.mu.Lock()
	defer m.mu.Unlock()
	if revision != m.revision || m.pending {
		return 0, ErrConflict
	}
	if f == underWay {
		m.pending = true
		time.AfterFunc(10*trip, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.pending = false
			m.set(key, data)
		})
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return 0, context.Cause(ctx)
	}
	m.set(key, data)
	if f == unheard {
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return 0, context.Cause(ctx)
	}
	return m.revision, nil
}

// set is a write that is done, under the lock.
func (m *memory) set(key string, data []byte) {
	m.revision++
	m.value = Value{Key: key, Data: data, Revision: m.revision, Time: time.Now().Add(m.ahead)}
	for w := range m.watchers {
		w <- m.value
	}
}

func (m *memory) Now(ctx context.Context) (time.Time, error) { return time.Now(), context.Cause(ctx) }

func (m *memory) Watch(ctx context.Context, _ string, fn func(Value) error) error {
	w := make(chan Value, 1000)
	m.mu.Lock()
	if m.revision > 0 {
		w <- m.value
	}
	m.watchers[w] = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.watchers, w)
		m.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case v := <-w:
			if err := fn(v); err != nil {
				return err
			}
		}
	}
}

var shortTiming = messages.TimingFor(10 * time.Second)

func acquire(t *testing.T, m *memory, holder string) *Lease {
	t.Helper()
	l, err := (&Leases{store: m}).Acquire(context.Background(), LeaseOptions{Name: "leader", Holder: holder, Timing: shortTiming})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLeaseRenewsAndReleases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a := acquire(t, m, "a")
		time.Sleep(time.Hour)
		if a.Context().Err() != nil {
			t.Fatalf("lost after an hour of renewals: %v", context.Cause(a.Context()))
		}
		got := make(chan *Lease)
		go func() { got <- acquire(t, m, "b") }()
		time.Sleep(time.Minute)
		released := time.Now()
		if err := a.Release(context.Background()); err != nil {
			t.Fatal(err)
		}
		b := <-got
		if waited := time.Since(released); waited > time.Second {
			t.Errorf("the next holder waited %v for a lease that was released", waited)
		}
		if b.Epoch() <= a.Epoch() {
			t.Errorf("epoch %d after %d", b.Epoch(), a.Epoch())
		}
		for range 2 {
			if err := b.Release(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if !errors.Is(context.Cause(b.Context()), context.Canceled) {
			t.Errorf("a released lease ends with %v", context.Cause(b.Context()))
		}
	})
}

// The queue refuses a release for a renewal that it was sent just before, and does not show
// yet: the lease must not be left to lapse for that.
func TestALeaseIsReleasedWhileARenewalIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		sent := make(chan struct{})
		writes := 0 // one after the other
		m.mishap = func(string) mishap {
			writes++
			if writes != 2 {
				return fine
			}
			close(sent)
			return underWay
		}
		a := acquire(t, m, "a")
		<-sent
		time.Sleep(2 * trip)
		if err := a.Release(context.Background()); err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if held, err := messages.DecodeLease(m.value.Data); err != nil || held.Holder != "" || m.pending {
			t.Errorf("the lease is left as %+v, %v, with a renewal under way: %v", held, err, m.pending)
		}
	})
}

// A candidate that has watched all along takes a lease that lapsed while it was not
// wanted at once; one that is renewed it never takes.
func TestALeaseThatLapsedWhileItWasNotWantedIsTakenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var broken atomic.Bool
		m.mishap = func(holder string) mishap {
			if broken.Load() && holder == "a" {
				return unreachable
			}
			return fine
		}
		a := acquire(t, m, "a")
		wanted, got := make(chan struct{}), make(chan *Lease, 1)
		go func() {
			b, err := (&Leases{store: m}).Acquire(context.Background(), LeaseOptions{Name: "leader", Holder: "b", Timing: shortTiming, Wanted: wanted})
			if err != nil {
				t.Error(err)
			}
			got <- b
		}()
		time.Sleep(time.Minute)
		broken.Store(true)
		time.Sleep(time.Minute) // it lapses, and nobody takes it
		select {
		case <-got:
			t.Fatal("taken though it was not wanted")
		default:
		}
		if a.Context().Err() == nil {
			t.Error("the holder has not stopped")
		}
		asked := time.Now()
		close(wanted)
		b := <-got
		if waited := time.Since(asked); waited > time.Second {
			t.Errorf("it took %v", waited)
		}
		if err := b.Release(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestALeaseThatIsRenewedIsNotTakenWhenItIsWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a := acquire(t, m, "a")
		wanted := make(chan struct{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		time.AfterFunc(time.Minute, func() { close(wanted) })
		if _, err := (&Leases{store: m}).Acquire(ctx, LeaseOptions{Name: "leader", Holder: "b", Timing: shortTiming, Wanted: wanted}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if left := time.Until(a.Deadline()); left <= 0 || left > shortTiming.RenewDeadline {
			t.Errorf("%v left until the deadline", left)
		}
		if err := a.Release(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestALeaseThatNobodyHeldIsTakenWhenItIsWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, wanted := newMemory(), make(chan struct{})
		asked := time.Now().Add(time.Second)
		time.AfterFunc(time.Second, func() { close(wanted) })
		l, err := (&Leases{store: m}).Acquire(context.Background(), LeaseOptions{Name: "leader", Holder: "b", Timing: shortTiming, Wanted: wanted})
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(asked); waited < 0 || waited > time.Second {
			t.Errorf("taken %v after it was wanted", waited)
		}
		if err := l.Release(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestLeaseEndsBeforeAnyoneElseStarts(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]mishap{"renewals do not arrive": unreachable, "acknowledgements do not arrive": unheard} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				var broken atomic.Bool
				m.mishap = func(holder string) mishap {
					if broken.Load() && holder == "a" {
						return f
					}
					return fine
				}
				a := acquire(t, m, "a")
				got := make(chan *Lease)
				go func() { got <- acquire(t, m, "b") }()
				time.Sleep(time.Minute)
				broken.Store(true)

				<-a.Context().Done()
				stopped := time.Now()
				if !errors.Is(context.Cause(a.Context()), ErrLeaseLost) {
					t.Errorf("cause %v, want ErrLeaseLost", context.Cause(a.Context()))
				}
				b := <-got
				if gap := time.Since(stopped); gap < shortTiming.StopTime {
					t.Errorf("b started %v after a was told to stop; stopping may take %v", gap, shortTiming.StopTime)
				}
				if b.Epoch() <= a.Epoch() {
					t.Errorf("epoch %d after %d", b.Epoch(), a.Epoch())
				}
				if err := a.Release(context.Background()); err != nil {
					t.Errorf("release of a lost lease: %v", err)
				}
				if b.Context().Err() != nil {
					t.Error("the old holder's release ended the new one's lease")
				}
				if err := b.Release(context.Background()); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A holder that stands still loses its lease, though the line to the servers is fine; one that
// moves again in time keeps it.
func TestALeaseLapsesWhenItsHolderStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var hangs atomic.Bool
		a, err := (&Leases{store: m}).Acquire(context.Background(), LeaseOptions{
			Name: "leader", Holder: "a", Timing: shortTiming, Alive: func() bool { return !hangs.Load() },
		})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan *Lease)
		go func() { got <- acquire(t, m, "b") }()
		time.Sleep(time.Minute)
		hangs.Store(true)
		time.Sleep(shortTiming.RenewEvery)
		hangs.Store(false)
		time.Sleep(time.Minute)
		if err := context.Cause(a.Context()); err != nil {
			t.Fatalf("it stood still for a moment only: %v", err)
		}
		hangs.Store(true)
		b := <-got
		if why := context.Cause(a.Context()); !errors.Is(why, ErrLeaseLost) || !strings.Contains(why.Error(), "stands still") {
			t.Errorf("cause %v", why)
		}
		if err := b.Release(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestOneLostAcknowledgementCostsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var n atomic.Int64
		var healed atomic.Bool
		m.mishap = func(string) mishap {
			if n.Add(1)%3 == 0 && !healed.Load() { // the first renewal's answer is lost, and every third after
				return unheard
			}
			return fine
		}
		store := impatient{m}
		l, err := (&Leases{store: store}).Acquire(context.Background(), LeaseOptions{Name: "leader", Holder: "a", Timing: shortTiming})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if l.Context().Err() != nil {
			t.Errorf("lost: %v", context.Cause(l.Context()))
		}
		healed.Store(true)
		if err := l.Release(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

// A candidate whom nobody answers when the lease has lapsed waits for the answer, and not
// for the lease to lapse again: whether the write was made or not.
func TestATakeoverThatNobodyAnsweredIsTriedAgainSoon(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]mishap{"it was not made": unreachable, "it was made": unheard} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				var mishaps atomic.Int32
				start := time.Now()
				m.mishap = func(holder string) mishap {
					if holder == "b" && time.Since(start) >= shortTiming.Promotion && mishaps.Add(1) == 1 {
						return happens
					}
					return fine
				}
				data, err := messages.LeaseValue{Holder: "dead", Nonce: "x"}.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := m.Create(t.Context(), "leader", data); err != nil {
					t.Fatal(err)
				}
				l, err := (&Leases{store: impatient{m}}).Acquire(context.Background(), LeaseOptions{Name: "leader", Holder: "b", Timing: shortTiming, Wanted: closed()})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < shortTiming.Promotion || took > shortTiming.Promotion+2*time.Second {
					t.Errorf("taken after %v", took)
				}
				if err := l.Release(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// impatient gives a write a second, as one request has its own time limit.
type impatient struct{ *memory }

func (i impatient) Update(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return i.memory.Update(ctx, key, data, revision)
}

func TestLeaseTakenByForceIsNoticedAtTheNextRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a := acquire(t, m, "a")
		m.mu.Lock()
		data, _ := messages.LeaseValue{Holder: "intruder", Nonce: "x"}.Encode()
		m.revision++
		m.value = Value{Data: data, Revision: m.revision}
		m.mu.Unlock()
		start := time.Now()
		<-a.Context().Done()
		if took := time.Since(start); took > shortTiming.RenewEvery+time.Second {
			t.Errorf("noticed after %v", took)
		}
	})
}

// TestNeverTwoHolders lets five nodes fight over a lease through faults of all
// kinds and checks that work under it never overlaps and epochs only grow.
func TestNeverTwoHolders(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				m := newMemory()
				var dice sync.Mutex
				m.mishap = func(string) mishap {
					dice.Lock()
					defer dice.Unlock()
					switch n := random.IntN(10); {
					case n < 2:
						return unreachable
					case n < 4:
						return unheard
					case n < 5:
						return underWay
					}
					return fine
				}
				var mu sync.Mutex
				working, last, tenures := "", uint64(0), 0
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
				defer cancel()
				var all sync.WaitGroup
				for i := range 5 {
					holder := fmt.Sprintf("n%d", i)
					all.Go(func() {
						for ctx.Err() == nil {
							l, err := (&Leases{store: m}).Acquire(ctx, LeaseOptions{Name: "leader", Holder: holder, Timing: shortTiming})
							if err != nil {
								return
							}
							mu.Lock()
							if working != "" {
								t.Errorf("%s starts while %s still works", holder, working)
							}
							if l.Epoch() <= last {
								t.Errorf("epoch %d after %d", l.Epoch(), last)
							}
							working, last = holder, l.Epoch()
							tenures++
							mu.Unlock()
							select {
							case <-l.Context().Done():
							case <-time.After(time.Minute):
							}
							time.Sleep(shortTiming.StopTime - time.Millisecond) // stopping takes as long as it may
							mu.Lock()
							working = ""
							mu.Unlock()
							bounded, done := context.WithTimeout(context.Background(), time.Second)
							l.Release(bounded) // may fail: the next holder waits then
							done()
						}
					})
				}
				all.Wait()
				if tenures < 10 {
					t.Errorf("only %d tenures in half an hour", tenures)
				}
			})
		})
	}
}

func TestAcquireRefusesUnsafeTimings(t *testing.T) {
	t.Parallel()
	bad := shortTiming
	bad.Lease = bad.RenewDeadline
	for name, o := range map[string]LeaseOptions{
		"timing": {Name: "leader", Holder: "a", Timing: bad},
		"name":   {Name: "a b", Holder: "a"},
		"holder": {Name: "leader"},
	} {
		if _, err := (&Leases{store: newMemory()}).Acquire(t.Context(), o); err == nil {
			t.Errorf("%s: acquired", name)
		}
	}
}
