package front

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/coordinator/route"
	"mahavishnu/fault"
)

const (
	defaultHold           = 15 * time.Second
	defaultDialTimeout    = time.Second
	defaultMaxConnections = 4096
	defaultMaxHeld        = 1024

	// dialPause is between two tries to reach a member that does not accept yet.
	dialPause = 50 * time.Millisecond

	// A side that vanished without a word is noticed after about this long.
	keepAliveIdle     = 5 * time.Second
	keepAliveInterval = 2 * time.Second
	keepAliveCount    = 4
)

// Options say what the front leads to. Listen is required, the rest may be left
// out.
type Options struct {
	// Service names the service for people.
	Service string
	// Listen is where clients connect, as "host:port"; port 0 picks a free one.
	Listen string
	// Members are the members that Observe may name. Each needs a port, and
	// addresses or a host.
	Members map[string]route.Target
	// State, when set, remembers the epoch across restarts, so that a front that
	// starts during a switch cannot be led back.
	State *route.File
	// Lapse, when above zero, ends a tenure that was not renewed for so long. Give
	// messages.LeaseTiming.Lease: the holder has stopped itself before that.
	Lapse time.Duration
	// Hold is how long a new connection waits for a member at most; 0 is 15
	// seconds.
	Hold time.Duration
	// DialTimeout bounds one try to reach a member; 0 is a second.
	DialTimeout time.Duration
	// MaxConnections bounds the clients, those that wait included; 0 is 4096. More
	// are refused at once.
	MaxConnections int
	// MaxHeld bounds the clients that wait; 0 is 1024.
	MaxHeld int
	// Clock is nil outside tests.
	Clock clock.Clock
}

func (o Options) withDefaults() Options {
	if o.Hold == 0 {
		o.Hold = defaultHold
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = defaultDialTimeout
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = defaultMaxConnections
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = defaultMaxHeld
	}
	o.Members = maps.Clone(o.Members)
	o.Clock = clock.Or(o.Clock)
	return o
}

// Front is a TCP proxy that follows a service's primary. It is a route.Router.
type Front struct {
	o        Options
	listener net.Listener

	mu sync.Mutex
	// held is the highest tenure heard of, fenced the highest that is over: while
	// fenced is not below it, nobody is led anywhere.
	held    route.State
	fenced  uint64
	ended   ending        // how the fenced one ended
	renewed time.Time     // when the tenure was last heard of
	changed chan struct{} // closed and replaced when held or fenced changes
	links   map[*link]struct{}
	stats   Stats
	closed  bool
}

// New listens; clients that connect before Run wait in the system's queue.
func New(o Options) (*Front, error) {
	o = o.withDefaults()
	for name, t := range o.Members {
		if err := dialable(t); err != nil || t.Member != name {
			return nil, fault.New("start the front of", o.Service, errors.Join(err, nameMismatch(name, t)), "see the members of the service in the configuration")
		}
	}
	f := &Front{o: o, changed: make(chan struct{}), links: map[*link]struct{}{}}
	if o.State != nil {
		remembered, err := o.State.Load()
		if err != nil {
			return nil, err
		}
		// What was remembered may be over by now: it only says what is too old. The
		// next word about the tenure opens the front again.
		f.held = remembered.State
		f.fenced = remembered.Epoch
	}
	listen := net.ListenConfig{KeepAliveConfig: keepAlive()}
	var err error
	if f.listener, err = listen.Listen(context.Background(), "tcp", o.Listen); err != nil {
		return nil, fault.New("start the front of "+o.Service+" on", o.Listen, err, "see that nobody else listens there")
	}
	return f, nil
}

func nameMismatch(name string, t route.Target) error {
	if t.Member == name {
		return nil
	}
	return fmt.Errorf("member %q is listed as %q", t.Member, name)
}

func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount}
}

func dialable(t route.Target) error {
	if err := t.Check(); err != nil {
		return err
	}
	if t.Port == 0 {
		return fmt.Errorf("member %s has no port to connect to", t.Member)
	}
	return nil
}

// Addr is where clients connect.
func (f *Front) Addr() net.Addr { return f.listener.Addr() }

// Run serves clients until ctx ends; then every connection is broken, and Run
// returns when all are gone. It is called once.
func (f *Front) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var serving sync.WaitGroup
	serving.Go(func() { f.watchLapse(ctx) })
	stop := context.AfterFunc(ctx, func() { f.listener.Close() })
	defer stop()
	var err error
	for {
		var client net.Conn
		if client, err = f.listener.Accept(); err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) && temporaryAccept(err) {
				if f.o.Clock.Sleep(ctx, dialPause) == nil {
					continue
				}
			}
			break
		}
		if !f.admit() {
			reset(client)
			continue
		}
		serving.Go(func() { f.serve(ctx, client) })
	}
	cancel()
	f.shut()
	serving.Wait()
	f.listener.Close() // it is closed mostly
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fault.New("serve clients of "+f.o.Service+" on", f.o.Listen, err, "")
}

// temporaryAccept reports whether accepting may succeed a moment later: no file
// descriptors, a client that went away at once.
func temporaryAccept(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// Point implements route.Router.
func (f *Front) Point(ctx context.Context, t route.Target, epoch uint64) error {
	if err := errors.Join(dialable(t), context.Cause(ctx)); err != nil {
		return fault.New("point the front of "+f.o.Service+" at", t.Member, err, "")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.take(t, epoch)
}

// Observe takes what the service's lease says: who holds it, by which epoch.
// Holder "" is a lease that was released, which ends the tenure. Call it for every
// change of the lease's key, renewals too.
func (f *Front) Observe(holder string, epoch uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if holder == "" {
		f.fence(epoch)
		return nil
	}
	t, ok := f.o.Members[holder]
	if !ok {
		return fault.New("lead clients of "+f.o.Service+" to", holder, errors.New("it is no member of the service"), "see the members of the service in the configuration")
	}
	return f.take(t, epoch)
}

// Fence ends the tenure with an epoch and every earlier one: their connections are
// broken, and clients wait for the next.
func (f *Front) Fence(epoch uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fence(epoch)
}

// Current implements route.Router. A tenure that is over is still the last one
// that clients were led to.
func (f *Front) Current(context.Context) (route.Target, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held.Target, f.held.Epoch, nil
}

// Check implements route.Router: it connects to the member that clients are led
// to.
func (f *Front) Check(ctx context.Context) error {
	f.mu.Lock()
	held, over, closed := f.held, f.over(), f.closed
	f.mu.Unlock()
	switch {
	case closed:
		return fault.New("lead clients of", f.o.Service, net.ErrClosed, "")
	case held.Epoch == 0 || over:
		return nil // there is nothing to lead to, which is no fault of the front's
	}
	member, err := f.dial(ctx, held.Target)
	if err != nil {
		return fault.New("lead clients of "+f.o.Service+" to", held.Target.String(), err, "see that the member runs and that this machine may connect to it")
	}
	return member.Close()
}

// Stats are the front's figures since it started, for metrics.
type Stats struct {
	// Epoch is the tenure's; Leading is false while clients are led nowhere.
	Epoch   uint64
	Member  string
	Leading bool
	// Open and Held are the clients that are connected through and that wait.
	Open, Held int
	// Accepted clients in all; of these, Refused for want of room, Expired because
	// no member could be reached in time, and Cut because a tenure ended.
	Accepted, Refused, Expired, Cut uint64
	// Switches counts the changes to another member.
	Switches uint64
}

// Stats tells the front's figures.
func (f *Front) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Epoch, s.Member, s.Leading, s.Open = f.held.Epoch, f.held.Target.Member, f.held.Epoch > 0 && !f.over(), len(f.links)
	return s
}
