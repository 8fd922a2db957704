package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
	"mahavishnu/messages"
)

// cluster is a service with its keepers, some of which are killed and started again.
type cluster struct {
	t      *testing.T
	a      *authority
	s      *service
	names  []string
	dir    string
	mode   keeper.Mode
	timing messages.LeaseTiming
	run    map[string]*running
	cut    map[string]bool
	// deaf loses this share of all answers, in percent.
	deaf   int
	random *rand.Rand
	epoch  uint64 // of the coordinator
	// pause is the longest time between two steps, patience how long an order is awaited.
	pause, patience time.Duration
	service         string
	// leases and records are how a node reaches them; sever cuts its way, and join mends all.
	leases func(node string) keeper.Leases
	record func(node string) keeper.Records
	sever  func(node string)
	join   func()
}

type running struct {
	k    *keeper.Keeper
	stop context.CancelFunc
	done chan error
	dog  *fakeDog
}

// fakeDog is a watchdog in the same process.
type fakeDog struct {
	m     *member
	timer *time.Timer
	epoch uint64
	gone  chan struct{}
}

func (d *fakeDog) Arm(epoch uint64, left time.Duration) error {
	d.Disarm()
	d.epoch = epoch
	d.timer = time.AfterFunc(left, func() { d.m.Fence(context.Background(), epoch) })
	return nil
}

func (d *fakeDog) Disarm() error {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = nil
	return nil
}
func (d *fakeDog) Gone() <-chan struct{} { return d.gone }
func (d *fakeDog) Close() error          { return d.Disarm() }

func newCluster(t *testing.T, mode keeper.Mode, seed uint64, names ...string) *cluster {
	t.Helper()
	c := &cluster{
		t: t, a: newAuthority(), s: newService(), names: names, dir: t.TempDir(), mode: mode, timing: messages.TimingFor(2 * time.Second),
		run: map[string]*running{}, cut: map[string]bool{}, random: rand.New(rand.NewPCG(seed, 7)), epoch: 1, pause: 3 * time.Second, patience: 4 * time.Second, service: "db",
	}
	c.s.loses = mode == keeper.Asynchronous
	c.leases = func(node string) keeper.Leases { return link{c.a, node} }
	c.record = func(node string) keeper.Records { return link{c.a, node} }
	c.sever = func(node string) {
		c.a.mu.Lock()
		defer c.a.mu.Unlock()
		c.cut[node] = true
	}
	c.join = func() {
		c.a.mu.Lock()
		defer c.a.mu.Unlock()
		clear(c.cut)
	}
	luck := rand.New(rand.NewPCG(seed, 8)) // asked under the authority's lock
	c.a.mishap = func(node string) (bool, bool) {
		if c.cut[node] {
			return false, false
		}
		return true, luck.IntN(100) >= c.deaf
	}
	for i, n := range names {
		m := c.s.add(n, i == 0)
		if i > 0 {
			m.follows = names[0]
		}
	}
	return c
}

func (c *cluster) begin() {
	c.t.Helper()
	for _, n := range c.names {
		c.start(n)
	}
}

func (c *cluster) start(name string) {
	c.t.Helper()
	r := &running{done: make(chan error, 1)}
	k, err := keeper.New(keeper.Options{
		Service: c.service, Member: name, Driver: c.s.members[name], Leases: c.leases(name), Records: c.record(name), Timing: c.timing,
		StateFile: filepath.Join(c.dir, name+".json"), Mode: c.mode, SyncPatience: time.Second, Patience: time.Second, Retake: 5 * time.Second,
		Watchdog: func() (keeper.Watchdog, error) {
			r.dog = &fakeDog{m: c.s.members[name], gone: make(chan struct{})}
			return r.dog, nil
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.k, r.stop = k, cancel
	go func() { r.done <- k.Run(ctx) }()
	c.run[name] = r
}

// end stops a keeper in an orderly way.
func (c *cluster) end(name string) {
	c.t.Helper()
	r := c.run[name]
	if r == nil {
		return
	}
	r.stop()
	if err := <-r.done; err != nil {
		c.t.Errorf("%s ends with %v", name, err)
	}
	delete(c.run, name)
}

func (c *cluster) set(name string, fn func(*member)) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	fn(c.s.members[name])
}

func (c *cluster) writable(name string) (writable bool) {
	c.set(name, func(m *member) { writable = m.up && m.writable })
	return writable
}

// leader returns who leads, by what keepers say.
func (c *cluster) leader() string {
	for _, n := range c.names {
		if r := c.run[n]; r != nil && r.k.Status().State == keeper.Leading {
			return n
		}
	}
	return ""
}

// order gives a command with a while to be done.
func (c *cluster) order(name string, cmd keeper.Command) (keeper.Answer, error) {
	r := c.run[name]
	if r == nil {
		return keeper.Answer{}, keeper.ErrStopped
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	if cmd.Epoch == 0 {
		cmd.Epoch = c.epoch
	}
	return r.k.Do(ctx, cmd)
}

func (c *cluster) check() {
	c.t.Helper()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, w := range c.s.wrongs {
		c.t.Error(w)
	}
	c.s.wrongs = nil
}

// step does one random thing to the cluster.
func (c *cluster) step() string {
	name := c.names[c.random.IntN(len(c.names))]
	c.s.mu.Lock()
	m := c.s.members[name]
	c.s.mu.Unlock()
	switch c.random.IntN(20) {
	case 0:
		c.s.mu.Lock()
		m.up, m.writable = false, false
		c.s.mu.Unlock()
		return name + " crashes"
	case 1:
		c.s.mu.Lock()
		m.hangs = m.up
		c.s.mu.Unlock()
		return name + " hangs"
	case 2:
		c.s.mu.Lock()
		m.hangs = false
		c.s.mu.Unlock()
		return name + " wakes"
	case 3:
		c.sever(name)
		return name + " is cut off"
	case 4, 5:
		c.join()
		return "all links heal"
	case 6:
		c.s.mu.Lock()
		m.cut = !m.cut
		c.s.mu.Unlock()
		return fmt.Sprintf("%s gets no rows: %v", name, m.cut)
	case 7:
		c.end(name)
		c.start(name)
		return name + "'s keeper is restarted"
	case 8:
		c.s.mu.Lock()
		m.stubborn = c.random.IntN(3)
		c.s.mu.Unlock()
		return name + " cannot be fenced at once"
	case 9:
		c.s.mu.Lock()
		m.slow = time.Duration(c.random.IntN(3)) * time.Second
		c.s.mu.Unlock()
		return fmt.Sprintf("%s takes %v to promote", name, m.slow)
	case 10:
		c.epoch++
		stale := c.epoch
		_, err := c.order(name, keeper.Command{Verb: keeper.Fence})
		if _, old := c.order(name, keeper.Command{Verb: keeper.Promote, Epoch: stale - 1}); err == nil && !errors.Is(old, keeper.ErrStale) && !errors.Is(old, context.DeadlineExceeded) {
			c.t.Errorf("an order of a coordinator that leads no more: %v", old)
		}
		return fmt.Sprintf("%s fenced: %v", name, err)
	case 11:
		_, err := c.order(name, keeper.Command{Verb: keeper.Demote})
		return fmt.Sprintf("%s demoted: %v", name, err)
	case 12, 13:
		// As a coordinator would: whoever may be, the one that it thinks of first.
		for _, name := range append([]string{name}, c.names...) {
			if _, err := c.order(name, keeper.Command{Verb: keeper.Promote}); err == nil {
				return name + " promoted"
			}
		}
		return "nobody may be promoted"
	case 14:
		c.set(name, (*member).die)
		return name + " dies"
	case 15:
		c.set(name, (*member).live)
		return name + " is started by nobody's order"
	case 16:
		return c.confirm(name)
	default:
		to := c.leader()
		if to == "" || to == name {
			return "nothing"
		}
		_, err := c.order(name, keeper.Command{Verb: keeper.Rejoin, Primary: standby.Peer{Name: to, Host: "h", Port: 1}})
		return fmt.Sprintf("%s rejoins %s: %v", name, to, err)
	}
}

// confirm is a person who ends a member that cannot be stopped, and says so; or only says so.
func (c *cluster) confirm(name string) string {
	c.t.Helper()
	r := c.run[name]
	if r == nil {
		return "nothing"
	}
	before := r.k.Status()
	if before.State == keeper.Fencing {
		c.set(name, (*member).die)
	}
	_, err := c.order(name, keeper.Command{Verb: keeper.Confirm, By: "ann", Why: "pulled the plug"})
	if now := r.k.Status(); before.State == keeper.Leading && now.Epoch == before.Epoch && now.State == keeper.Leading && err == nil {
		c.t.Errorf("%s leads, and is said to be stopped", name)
	}
	return fmt.Sprintf("%s is said to be stopped: %v", name, err)
}

// steps does many random things while rows are written, ends all keepers, and returns how many
// tenures there were.
func (c *cluster) steps(n int) (tenures int) {
	c.t.Helper()
	stop, writing := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(writing)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				c.s.write()
			}
		}
	}()
	last := uint64(0)
	var story []string
	for range n {
		story = append(story, c.step())
		time.Sleep(time.Duration(c.random.Int64N(int64(c.pause))))
		c.check()
		c.s.mu.Lock()
		if c.s.highest > last {
			last = c.s.highest
			tenures++
		}
		c.s.mu.Unlock()
		if c.t.Failed() {
			c.t.Log(story[max(0, len(story)-25):])
			break
		}
	}
	close(stop)
	<-writing
	c.join()
	for _, n := range c.names {
		c.s.mu.Lock()
		c.s.members[n].stubborn = 0
		c.s.members[n].live()
		c.s.mu.Unlock()
		c.end(n)
	}
	return tenures
}

// TestRandomFaults does thousands of random things to services in each mode and checks after each
// that no two members take writes, that epochs only grow, and that nobody is promoted
// without all that was acknowledged.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	for _, mode := range []keeper.Mode{keeper.Asynchronous, keeper.Synchronous, keeper.Strict} {
		for seed := range uint64(12) {
			t.Run(fmt.Sprintf("%s/%d", mode, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					names := []string{"a", "b", "c"}[:2+seed%2]
					c := newCluster(t, mode, seed, names...)
					c.deaf = int(seed%3) * 5
					c.begin()
					tenures := c.steps(150)
					if tenures < 2 || len(c.s.told) < 100 {
						t.Errorf("only %d tenures and %d rows: the test tests little", tenures, len(c.s.told))
					}
				})
			})
		}
	}
}

// TestRecovers lets everything heal and expects service again.
func TestRecovers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, keeper.Synchronous, seed, "a", "b")
				c.begin()
				for range 30 {
					c.step()
					time.Sleep(time.Duration(c.random.IntN(2000)) * time.Millisecond)
				}
				c.join()
				c.s.mu.Lock()
				for _, m := range c.s.members {
					m.hangs, m.cut, m.stubborn, m.slow = false, false, 0, 0
					if m.dead {
						m.live()
					}
				}
				c.s.mu.Unlock()
				// As a coordinator would: promote whoever may be, let the other follow.
				for range 100 {
					c.epoch++
					if leader := c.leader(); leader != "" {
						for _, n := range c.names {
							if n != leader {
								c.order(n, keeper.Command{Verb: keeper.Rejoin, Primary: standby.Peer{Name: leader, Host: "h", Port: 1}})
							}
						}
						if r := c.run[leader].k.Status(); len(r.Secured) == 1 {
							break
						}
					} else {
						for _, n := range c.names {
							if _, err := c.order(n, keeper.Command{Verb: keeper.Promote}); err == nil {
								break
							}
						}
					}
					time.Sleep(time.Second)
				}
				leader := c.leader()
				if leader == "" || !slices.Equal(c.run[leader].k.Status().Secured, slices.DeleteFunc(slices.Clone(c.names), func(n string) bool { return n == leader })) {
					for n, r := range c.run {
						t.Errorf("%s: %+v", n, r.k.Status())
					}
				}
				before := len(c.s.told)
				c.s.write()
				if len(c.s.told) != before+1 {
					t.Error("no write is acknowledged")
				}
				c.check()
				for _, n := range c.names {
					c.end(n)
				}
			})
		})
	}
}
