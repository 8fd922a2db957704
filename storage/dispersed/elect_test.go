package dispersed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mahavishnu/storage"
	"mahavishnu/storage/dispersed"
	"mahavishnu/storage/faults"
)

// mortal is the way of one process to a storage: it is killed at its so-many-th change
// of any storage, which may have taken effect or not.
type mortal struct {
	storage.Backend
	life *life
}

type life struct {
	left atomic.Int64 // changes until the end; from then on nothing goes
	rand func() bool
}

func (m mortal) change(do func() error) error {
	switch left := m.life.left.Add(-1); {
	case left > 0:
		return do()
	case left == 0 && m.life.rand():
		_ = do() // the answer is lost
	}
	return faults.ErrStopped
}

func (m mortal) look(do func() error) error {
	if m.life.left.Load() <= 0 {
		return faults.ErrStopped
	}
	return do()
}

func (m mortal) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	return m.change(func() error { return m.Backend.Put(ctx, name, data, o) })
}

func (m mortal) Delete(ctx context.Context, name string) error {
	return m.change(func() error { return m.Backend.Delete(ctx, name) })
}

func (m mortal) Get(ctx context.Context, name string, offset, length int64) (r io.ReadCloser, err error) {
	err = m.look(func() error { r, err = m.Backend.Get(ctx, name, offset, length); return err })
	return r, err
}

func (m mortal) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	return m.look(func() error { return m.Backend.List(ctx, prefix, fn) })
}

// process opens the same storages as another process, that dies after so many
// changes.
func (p *place) process(t *testing.T, changes int64) *dispersed.Backend {
	t.Helper()
	l := &life{rand: func() bool { return rand.IntN(2) == 0 }}
	l.left.Store(changes)
	c := p.config
	c.Backends = nil
	for _, d := range p.doors {
		c.Backends = append(c.Backends, mortal{d, l})
	}
	b, err := dispersed.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const immortal = 1 << 40

// TestRacingCreators has many processes create one object at once, some of them killed in
// the middle, with storages away from the start or from the middle on: no two are
// told that they did; whoever is told so, or that it exists, finds it there, the same
// for all and for ever.
func TestRacingCreators(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		p := newPlace(t, 4, 2, quorum(4+round%2), func(c *dispersed.Config) { c.Patience = 50 * time.Millisecond })
		if c := round % 4; c > 0 && round%2 == 0 {
			p.stop(round % 6)
			p.stop((round + c) % 6)
		}
		const name = "turns/1"
		var mu sync.Mutex
		var winners []int
		exists := 0
		var wg sync.WaitGroup
		for i := range 5 {
			changes := int64(immortal)
			if i < 3 {
				changes = 1 + rand.Int64N(40)
			}
			b := p.process(t, changes)
			wg.Go(func() {
				defer func() {
					if err := b.Close(); err != nil {
						t.Error(err)
					}
				}()
				err := b.Put(t.Context(), name, noise(i, 3000), storage.PutOptions{IfAbsent: true})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					winners = append(winners, i)
				case errors.Is(err, storage.ErrExists):
					exists++
				case changes == immortal && !temporary(err):
					t.Errorf("round %d: an immortal process: %v", round, err)
				}
			})
		}
		wg.Wait()
		if len(winners) > 1 {
			t.Fatalf("round %d: processes %v were all told that they created it", round, winners)
		}
		p.open(t)
		err := p.Put(t.Context(), name, noise(9, 3000), storage.PutOptions{IfAbsent: true})
		switch told := len(winners) + exists; {
		case told > 0 && !errors.Is(err, storage.ErrExists):
			t.Fatalf("round %d: %d winners, %d told that it exists; then: %v", round, len(winners), exists, err)
		case told == 0 && err != nil && !errors.Is(err, storage.ErrExists):
			t.Fatalf("round %d: nobody was told anything; then: %v", round, err)
		}
		if len(winners) == 1 {
			wantData(t, p, name, noise(winners[0], 3000))
		}
		first, err := get(t.Context(), p, name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		p.start()
		p.settle(t)
		p.open(t)
		wantData(t, p, name, first)
		wantRepaired(t, p)
		wantData(t, p, name, first)
		p.settle(t)
	}
}

func temporary(err error) bool {
	var temporary *storage.TemporaryError
	return errors.As(err, &temporary)
}

// TestCreateAndDelete has processes take and release one lock again and again; what one
// was told that it created nobody else creates before it is deleted.
func TestCreateAndDelete(t *testing.T) {
	p := newPlace(t, 2, 1, func(c *dispersed.Config) { c.Patience = 50 * time.Millisecond })
	p.settle(t)
	var holders atomic.Int64
	var taken atomic.Int64
	var wg sync.WaitGroup
	for i := range 4 {
		b := p.process(t, immortal)
		wg.Go(func() {
			defer func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}()
			for range 30 {
				err := b.Put(t.Context(), "lock", fmt.Append(nil, i), storage.PutOptions{IfAbsent: true})
				switch {
				case err == nil:
				case errors.Is(err, storage.ErrExists), temporary(err):
					continue
				default:
					t.Error(err)
					return
				}
				taken.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d processes hold the lock", n)
				}
				holders.Add(-1)
				if err := b.Delete(t.Context(), "lock"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() == 0 {
		t.Error("nobody ever took the lock")
	}
}
