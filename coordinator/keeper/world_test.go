package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
	"mahavishnu/messages"
)

// authority keeps leases and records as the bus does, under synthetic time: each write takes
// a moment and may be lost, or done without its answer.
type authority struct {
	mu       sync.Mutex
	revision uint64
	leases   map[string]held
	records  map[string]document
	// mishap is asked at each call of a node: whether it arrives, and whether the answer does.
	mishap func(node string) (arrives, answered bool)
}

type held struct {
	holder  string
	changes uint64 // revision of the last change
}

type document struct {
	data     []byte
	revision uint64
}

const trip = 3 * time.Millisecond

func newAuthority() *authority {
	return &authority{leases: map[string]held{}, records: map[string]document{}, mishap: func(string) (bool, bool) { return true, true }}
}

var errCut = errors.New("nobody answers")

// call does a write under the mishaps of a node.
func (a *authority) call(ctx context.Context, node string, fn func() error) error {
	a.mu.Lock()
	arrives, answered := a.mishap(node)
	a.mu.Unlock()
	time.Sleep(trip)
	if !arrives {
		return wait(ctx)
	}
	a.mu.Lock()
	err := fn()
	a.mu.Unlock()
	if !answered {
		return wait(ctx)
	}
	time.Sleep(trip)
	return err
}

// wait is a call that hears nothing for the time that a client has patience.
func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Second):
		return errCut
	}
}

// link is how one node reaches the authority.
type link struct {
	a    *authority
	node string
}

func (l link) Load(ctx context.Context, key string) (data []byte, revision uint64, err error) {
	err = l.a.call(ctx, l.node, func() error {
		d := l.a.records[key]
		data, revision = d.data, d.revision
		return nil
	})
	return data, revision, err
}

func (l link) Save(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	var now uint64
	err := l.a.call(ctx, l.node, func() error {
		if l.a.records[key].revision != revision {
			return keeper.ErrDeposed
		}
		l.a.revision++
		now = l.a.revision
		l.a.records[key] = document{data, now}
		return nil
	})
	return now, err
}

// tenure is a lease that is held and renews itself.
type tenure struct {
	epoch  uint64
	ctx    context.Context
	cancel context.CancelCauseFunc
	l      link
	name   string
	timing messages.LeaseTiming
	stop   chan struct{}
	ended  chan struct{}
	once   sync.Once

	mu       sync.Mutex
	revision uint64
	sent     time.Time
}

func (l link) Acquire(ctx context.Context, name, holder string, timing messages.LeaseTiming) (keeper.Tenure, error) {
	var seen held
	since := time.Now()
	for {
		l.a.mu.Lock()
		now := l.a.leases[name]
		l.a.mu.Unlock()
		if now != seen {
			seen, since = now, time.Now()
		}
		if seen.holder == "" || time.Since(since) >= timing.Promotion {
			sent := time.Now()
			var epoch uint64
			try, cancel := context.WithTimeout(ctx, timing.RenewDeadline)
			err := l.a.call(try, l.node, func() error {
				if l.a.leases[name] != seen {
					return errCut
				}
				l.a.revision++
				epoch = l.a.revision
				l.a.leases[name] = held{holder, epoch}
				return nil
			})
			cancel()
			if err == nil {
				t := &tenure{epoch: epoch, l: l, name: name, timing: timing, stop: make(chan struct{}), ended: make(chan struct{}), revision: epoch, sent: sent}
				t.ctx, t.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
				go t.renew(holder)
				return t, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (t *tenure) Epoch() uint64            { return t.epoch }
func (t *tenure) Context() context.Context { return t.ctx }

func (t *tenure) Deadline() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent.Add(t.timing.RenewDeadline)
}

func (t *tenure) renew(holder string) {
	defer close(t.ended)
	for {
		select {
		case <-t.stop:
			t.cancel(context.Canceled)
			return
		case <-time.After(min(t.timing.RenewEvery, time.Until(t.Deadline()))):
		}
		if !time.Now().Before(t.Deadline()) {
			t.cancel(errors.New("not renewed in time"))
			return
		}
		sent := time.Now()
		try, cancel := context.WithDeadline(t.ctx, t.Deadline())
		err := t.l.a.call(try, t.l.node, func() error {
			if now := t.l.a.leases[t.name]; now.holder != holder || now.changes != t.revision {
				return keeper.ErrDeposed
			}
			t.l.a.revision++
			t.l.a.leases[t.name] = held{holder, t.l.a.revision}
			t.revision = t.l.a.revision
			return nil
		})
		cancel()
		switch {
		case errors.Is(err, keeper.ErrDeposed):
			t.cancel(err)
			return
		case err == nil:
			t.mu.Lock()
			t.sent = sent
			t.mu.Unlock()
		}
	}
}

func (t *tenure) Release(ctx context.Context) error {
	t.once.Do(func() { close(t.stop) })
	<-t.ended
	return t.l.a.call(ctx, t.l.node, func() error {
		if t.l.a.leases[t.name].changes == t.revision {
			t.l.a.revision++
			t.l.a.leases[t.name] = held{"", t.l.a.revision}
		}
		return nil
	})
}

// service is a database of rows with a primary and standbys, as members see it and as
// an onlooker does who sees all.
type service struct {
	mu      sync.Mutex
	members map[string]*member
	// told are all rows that were acknowledged; wrongs is what must never be.
	told   []int
	next   int
	wrongs []string
	// highest is the highest epoch under which a member was made writable.
	highest uint64
	// loses says that rows may be lost (asynchronous).
	loses bool
}

func newService() *service { return &service{members: map[string]*member{}} }

func (s *service) wrong(format string, args ...any) {
	s.wrongs = append(s.wrongs, fmt.Sprintf(format, args...))
}

// member is one of the service's, and its driver.
type member struct {
	s        *service
	name     string
	up       bool
	hangs    bool
	dead     bool // nobody is there who could be told anything
	writable bool
	guarded  bool // starts as a standby
	role     standby.Role
	follows  string
	cut      bool // from its primary
	rows     map[int]bool
	waitsFor []string
	epoch    uint64
	secured  map[string]int
	// slow is how long a promotion takes; stubborn makes fences fail.
	slow     time.Duration
	stubborn int
}

func (s *service) add(name string, primary bool) *member {
	m := &member{s: s, name: name, up: true, guarded: true, role: standby.Standby, rows: map[int]bool{}, secured: map[string]int{}}
	if primary {
		m.role, m.up = standby.Primary, false
	}
	s.members[name] = m
	return m
}

func (m *member) lock() func() {
	m.s.mu.Lock()
	return m.s.mu.Unlock
}

// write tries to add a row through whichever member takes writes, and notes it when it is acknowledged.
func (s *service) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var writable []*member
	for _, m := range s.members {
		if m.up && m.writable && !m.hangs {
			writable = append(writable, m)
		}
	}
	if len(writable) > 1 {
		s.wrong("%s and %s take writes", writable[0].name, writable[1].name)
	}
	for _, m := range writable {
		s.next++
		m.rows[s.next] = true
		s.replicate(m)
		for _, name := range m.waitsFor {
			if !s.members[name].has(s.next, m.name) && name != standby.Everyone {
				return // the client waits in vain
			}
		}
		s.told = append(s.told, s.next)
	}
}

func (m *member) has(row int, primary string) bool {
	return m != nil && m.follows == primary && m.rows[row]
}

// replicate hands a primary's rows to those that are connected to it.
func (s *service) replicate(primary *member) {
	for _, m := range s.members {
		if m.up && !m.hangs && !m.cut && m.follows == primary.name && m.role == standby.Standby {
			for row := range primary.rows {
				m.rows[row] = true
			}
		}
	}
}

func (m *member) Health(ctx context.Context) (standby.Health, error) {
	time.Sleep(time.Millisecond)
	defer m.lock()()
	if err := ctx.Err(); err != nil {
		return standby.Health{}, err
	}
	if m.dead {
		return standby.Health{Role: standby.Unknown}, errCut
	}
	if m.up && m.hangs {
		return standby.Health{Running: true, Role: standby.Unknown}, errors.New("it hangs")
	}
	return standby.Health{Running: m.up, Role: m.role, Writable: m.up && m.writable, Position: fmt.Sprint(len(m.rows))}, nil
}

func (m *member) accept(epoch uint64) error {
	if epoch < m.epoch {
		return standby.ErrStale
	}
	if m.dead {
		return errCut
	}
	m.epoch = epoch
	return nil
}

// die ends the member's process.
func (m *member) die() { m.dead, m.writable, m.hangs = true, false, false }

// live starts it again, as an init system does that knows nothing of epochs.
func (m *member) live() { m.dead, m.up = false, true }

func (m *member) Fence(_ context.Context, epoch uint64) error {
	defer m.lock()()
	if m.stubborn > 0 {
		m.stubborn--
		return errors.New("it does not die")
	}
	if m.dead {
		return standby.ErrUndelivered
	}
	if err := m.accept(epoch); err != nil {
		return err
	}
	m.up, m.writable, m.hangs = false, false, false
	return nil
}

func (m *member) Promote(ctx context.Context, epoch uint64) error {
	unlock := m.lock()
	err := m.accept(epoch)
	slow := m.slow
	unlock()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(slow + time.Millisecond):
	}
	defer m.lock()()
	if m.epoch != epoch || m.dead {
		return standby.ErrStale
	}
	if epoch < m.s.highest {
		m.s.wrong("%s becomes writable under epoch %d after %d", m.name, epoch, m.s.highest)
	}
	m.s.highest = epoch
	m.up, m.writable, m.hangs, m.role, m.follows = true, true, false, standby.Primary, ""
	for _, other := range m.s.members {
		if other != m && other.up && other.writable && !other.hangs {
			m.s.wrong("%s becomes writable while %s is", m.name, other.name)
		}
	}
	if !m.s.loses {
		for _, row := range m.s.told {
			if !m.rows[row] {
				m.s.wrong("%s becomes writable without row %d, which was acknowledged", m.name, row)
				break
			}
		}
	}
	return nil
}

func (m *member) Demote(_ context.Context, epoch uint64) error {
	defer m.lock()()
	if err := m.accept(epoch); err != nil {
		return err
	}
	m.s.replicate(m)
	m.up, m.writable = false, false
	return nil
}

func (m *member) Rejoin(_ context.Context, primary standby.Peer, epoch uint64) error {
	time.Sleep(10 * time.Millisecond)
	defer m.lock()()
	if err := m.accept(epoch); err != nil {
		return err
	}
	p := m.s.members[primary.Name]
	if p == nil || !p.up || !p.writable || p.hangs {
		return errors.New("there is no such primary")
	}
	m.up, m.writable, m.hangs, m.role, m.follows = true, false, false, standby.Standby, primary.Name
	m.rows = map[int]bool{}
	for row := range p.rows {
		m.rows[row] = true
	}
	return nil
}

func (m *member) Start(context.Context) error {
	defer m.lock()()
	m.up = true
	return nil
}
