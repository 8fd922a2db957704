package lease

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/repository/keyring"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// place is a storage with sessions, and snapshots in a map.
type place struct {
	*Store
	disk  *faults.Memory
	snaps map[string]string
	marks map[string]bool
}

func newPlace() *place {
	disk := faults.NewMemory()
	keys := seal.NewKeys(keyring.Generate(time.Unix(1, 0)), make([]byte, 16))
	return &place{Store: NewStore(disk, keys), disk: disk, snaps: map[string]string{}, marks: map[string]bool{}}
}

func (p *place) Presence(_ context.Context, name string) (Presence, error) {
	switch {
	case p.marks[name]:
		return Forgotten, nil
	case p.snaps[name] != "":
		return Present, nil
	}
	return Absent, nil
}

func (p *place) Publish(_ context.Context, name string, sealed []byte) error {
	if p.snaps[name] == "" {
		p.snaps[name] = string(sealed)
	}
	return nil
}

func (p *place) begin(t *testing.T, o Options) *Lease {
	t.Helper()
	if o.Role == "" {
		o.Role = Backup
	}
	l, err := p.Begin(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (p *place) settle(t *testing.T, w *Watcher) *Census {
	t.Helper()
	c, err := w.Settle(t.Context(), ID{}, p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// left returns the names of what is there, without ids.
func (p *place) left() string {
	var kinds []string
	for name := range p.disk.Objects() {
		if rest, ok := strings.CutPrefix(name, Prefix); ok {
			name = "session" + rest[32:]
		}
		kinds = append(kinds, strings.TrimRight(name, "0123456789abcdef"))
	}
	slices.Sort(kinds)
	return strings.Join(slices.Compact(kinds), " ")
}

// A session that beats lives, however long it takes; one that stopped is fenced
// after twice its time to live, and finds out.
func TestBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		lost := 0
		alive := p.begin(t, Options{TTL: time.Minute, Lost: func() { lost++ }})
		silent := p.begin(t, Options{TTL: time.Minute})
		must(t, silent.Leave(t.Context()))
		w := p.Watch(nil, nil)
		for i := range 12 {
			c := p.settle(t, w)
			want := 2
			if i >= 4 { // two minutes
				want = 1
			}
			if len(c.Unfinished) != want {
				t.Fatalf("after %d half minutes %+v", i, c)
			}
			if !c.Open(alive.ID()) || c.Open(silent.ID()) != (want == 2) {
				t.Fatalf("after %d half minutes the wrong one was fenced", i)
			}
			time.Sleep(30 * time.Second)
		}
		if _, err := silent.Commit(t.Context(), "snapshots/s/1", []byte("x")); !errors.Is(err, ErrFenced) {
			t.Errorf("the fenced one committed: %v", err)
		}
		// Somebody fences the living one too: wrongly, but so it is.
		must(t, p.put(t.Context(), alive.ID().object()+endSuffix, []byte(`{"outcome":"fenced"}`+"\n"), storage.PutOptions{}))
		time.Sleep(time.Minute)
		synctest.Wait()
		if lost != 1 || !errors.Is(alive.Err(), ErrFenced) {
			t.Errorf("lost %d times, %v", lost, alive.Err())
		}
		must(t, alive.Done(t.Context()))
	})
}

// What one run has seen the next one knows, and no clock that was set back makes
// anybody dead.
func TestNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		must(t, p.begin(t, Options{TTL: time.Minute}).Leave(t.Context()))
		w := p.Watch(nil, nil)
		p.settle(t, w)
		must(t, w.Note(t.Context()))
		time.Sleep(3 * time.Minute)
		back := p.Watch(nil, shifted(-24*time.Hour))
		if c := p.settle(t, back); len(c.Unfinished) != 1 {
			t.Fatalf("by a clock that is behind: %+v", c)
		}
		if c := p.settle(t, p.Watch(nil, nil)); len(c.Fenced) != 1 || c.Cleared != 1 {
			t.Fatalf("by the next run: %+v", c)
		}
		if left := p.left(); left != "gc/seen" {
			t.Errorf("left: %s", left)
		}
	})
}

// keeper is a queue that says who lives.
type keeper struct {
	held map[string]bool
	err  error
}

func (k *keeper) Hold(_ context.Context, session string, _ time.Duration) (func(context.Context) error, error) {
	k.held[session] = true
	return func(context.Context) error { delete(k.held, session); return nil }, k.err
}

func (k *keeper) Alive(_ context.Context, session string) (bool, error) {
	return k.held[session], k.err
}

func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		k := &keeper{held: map[string]bool{}}
		l := p.begin(t, Options{Keeper: k})
		if len(k.held) != 1 {
			t.Fatal("no lease is held")
		}
		time.Sleep(time.Hour)
		if strings.Contains(p.left(), beatSuffix) {
			t.Error("a kept session beats")
		}
		w := p.Watch(k, nil)
		if c := p.settle(t, w); len(c.Unfinished) != 1 {
			t.Fatalf("held: %+v", c)
		}
		lost := k.held
		k.held, k.err = map[string]bool{}, errors.New("queue out of reach")
		if c := p.settle(t, w); len(c.Unfinished) != 1 {
			t.Fatalf("the queue does not answer: %+v", c)
		}
		// Without the queue only long silence tells.
		other := p.Watch(nil, nil)
		p.settle(t, other)
		time.Sleep(11 * time.Hour)
		if c := p.settle(t, other); len(c.Unfinished) != 1 {
			t.Fatalf("eleven hours without a queue to ask: %+v", c)
		}
		k.err = nil
		if c := p.settle(t, w); len(c.Fenced) != 1 {
			t.Fatalf("the lease is gone: %+v", c)
		}
		if err := l.Check(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("Check = %v", err)
		}
		k.held = maps.Clone(lost)
		must(t, l.Done(t.Context()))
		if len(k.held) != 0 {
			t.Error("the lease is still held")
		}
	})
}

// Of a ticket and a fence one wins, and it stays so.
func TestTicketAgainstFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, stage := range []string{"before", "cleared", "after"} {
			p := newPlace()
			l := p.begin(t, Options{TTL: time.Second})
			must(t, l.Leave(t.Context()))
			w := p.Watch(nil, nil)
			p.settle(t, w)
			const name = "snapshots/s/1"
			if stage == "after" {
				if _, err := l.Commit(t.Context(), name, []byte("snapshot")); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			c := p.settle(t, w)
			if stage == "after" {
				if len(c.Published) != 1 || p.snaps[name] != "snapshot" || len(c.Fenced) != 0 {
					t.Fatalf("a committed session: %+v", c)
				}
				// The name stays guarded until it is taken for ever.
				for range 2 {
					if claims, err := p.Claims(t.Context()); err != nil || !claims.Has(name) {
						t.Fatalf("claimed: %v, %v", claims, err)
					}
					p.settle(t, w)
				}
				if _, err := l.Commit(t.Context(), name, []byte("other")); !errors.Is(err, ErrFenced) {
					t.Errorf("Commit = %v", err)
				}
				p.marks[name] = true
				p.settle(t, w)
			} else {
				if stage == "cleared" {
					p.settle(t, w)
				}
				if _, err := l.Commit(t.Context(), name, []byte("snapshot")); !errors.Is(err, ErrFenced) {
					t.Errorf("%s: Commit = %v", stage, err)
				}
				p.settle(t, w) // its late ticket goes
			}
			if left := p.left(); left != "" {
				t.Errorf("%s: left %s", stage, left)
			}
		}
	})
}

// A ticket that cannot be read may say anything: whoever waits for its session
// goes on waiting, and is told.
func TestDamagedTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		l := p.begin(t, Options{})
		_, err := l.Commit(t.Context(), "snapshots/s/1", []byte("snapshot"))
		must(t, err)
		must(t, l.Leave(t.Context()))
		p.disk.Set(l.ID().object()+endSuffix, []byte("?"))
		w := p.Watch(nil, nil)
		for range 3 {
			if c := p.settle(t, w); len(c.Stuck) != 1 || !c.Open(l.ID()) {
				t.Fatalf("%+v", c)
			}
			time.Sleep(time.Hour)
		}
		if claims, err := p.Claims(t.Context()); err != nil || !claims.Has("snapshots/any") {
			t.Errorf("claimed: %v, %v", claims, err)
		}
	})
}

// Collectors take turns; a dead one's is taken over.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		first, second := p.begin(t, Options{Role: Collector}), p.begin(t, Options{Role: Collector})
		w := p.Watch(nil, nil)
		turn := func(l *Lease) error {
			c, err := w.Settle(t.Context(), l.ID(), p)
			must(t, err)
			return l.Turn(t.Context(), c)
		}
		must(t, turn(first))
		busy := new(BusyError)
		if err := turn(second); !errors.As(err, &busy) || busy.Session.ID != first.ID() {
			t.Fatalf("the second got %v", err)
		}
		must(t, first.Leave(t.Context()))
		_ = turn(second)
		time.Sleep(5 * time.Minute)
		must(t, turn(second))
		must(t, turn(second)) // its own
		if err := first.Check(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("the first: %v", err)
		}
		must(t, second.Done(t.Context()))
	})
}
