package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/lab/wire"
)

// maxRegions bounds what one lab takes of the system.
const maxRegions = 12

// mtu leaves room for what a tunnel of a real network would add, in bytes.
const mtu = 1400

// ErrRefused says that this system does not allow a lab.
var ErrRefused = errors.New("this system allows no network of its own")

// Options say what the lab has.
type Options struct {
	// Regions are 1 to 12 different names.
	Regions []string
	// Seed is that of everything random; the same seed loses the same share of
	// packets, not the same packets.
	Seed uint64
	// Clock is nil outside tests of the lab itself.
	Clock clock.Clock
}

// Lab is regions and the links between them. It is safe for concurrent use.
type Lab struct {
	names   []string
	regions map[string]*region
	mesh    *mesh
	reading sync.WaitGroup

	mu       sync.Mutex
	forwards []*wire.Wire
	closed   bool
}

// New makes a lab whose links are perfect.
func New(o Options) (*Lab, error) {
	names := slices.Clone(o.Regions)
	slices.Sort(names)
	if len(names) == 0 || len(names) > maxRegions || len(slices.Compact(names)) != len(o.Regions) || slices.Contains(names, "") {
		return nil, fault.New("make a network", fmt.Sprint(o.Regions), fmt.Errorf("1 to %d regions with different names are needed", maxRegions), "")
	}
	l := &Lab{names: slices.Clone(o.Regions), regions: map[string]*region{}}
	l.mesh = newMesh(len(o.Regions), o.Seed, clock.Or(o.Clock), func(to int, packet []byte) {
		l.regions[l.names[to]].write(packet)
	})
	for i, name := range o.Regions {
		r, err := openRegion(addressOf(i))
		if err != nil {
			l.Close() //nolint:errcheck // the first error is what matters
			return nil, fault.New("make a network for", name, err, "run as root, on Linux with /dev/net/tun")
		}
		l.regions[name] = r
	}
	for i, name := range o.Regions {
		r := l.regions[name]
		l.reading.Go(func() { r.read(func(packet []byte) { l.mesh.take(i, packet) }) })
	}
	return l, nil
}

// addressOf is the address of the nth region.
func addressOf(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 199, byte(n + 1), 1}) }

// regionOf is which region has an address; negative when none has.
func regionOf(packet []byte) int {
	if len(packet) < 20 || packet[0]>>4 != 4 || packet[16] != 10 || packet[17] != 199 || packet[19] != 1 {
		return -1
	}
	return int(packet[18]) - 1
}

// Close ends every process in the lab, whoever started it there, and takes the lab down. Calling it again does
// nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	forwards, closed := l.forwards, l.closed
	l.forwards, l.closed = nil, true
	l.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for _, w := range forwards {
		errs = append(errs, w.Close())
	}
	for _, r := range l.regions {
		errs = append(errs, r.close())
	}
	l.reading.Wait()
	l.mesh.close()
	return errors.Join(errs...)
}

// Regions are the names of the regions.
func (l *Lab) Regions() []string { return slices.Clone(l.names) }

// Addr is a region's address.
func (l *Lab) Addr(region string) netip.Addr { return addressOf(l.index(region)) }

// index panics for a region that the lab does not have: that is a mistake in a test.
func (l *Lab) index(region string) int {
	i := slices.Index(l.names, region)
	if i < 0 {
		panic(fmt.Sprintf("the lab has no region %q", region))
	}
	return i
}

// Start starts a command in a region. It is killed when the lab is closed, or when
// this process dies; whoever started it waits for it.
func (l *Lab) Start(region string, cmd *exec.Cmd) error {
	l.index(region)
	if err := l.regions[region].start(cmd); err != nil {
		return fault.New("start in region "+region, cmd.Path, err, "")
	}
	return nil
}

// Runner is Start for one region, for those who start commands by themselves.
func (l *Lab) Runner(region string) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error { return l.Start(region, cmd) }
}

// Dial connects from within a region; an address is a number and a port.
func (l *Lab) Dial(ctx context.Context, region, network, address string) (net.Conn, error) {
	l.index(region)
	var c net.Conn
	err := l.regions[region].inside(func() error {
		var err error
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Listen listens within a region.
func (l *Lab) Listen(ctx context.Context, region, network, address string) (net.Listener, error) {
	l.index(region)
	var listener net.Listener
	err := l.regions[region].inside(func() error {
		var err error
		listener, err = (&net.ListenConfig{}).Listen(ctx, network, address)
		return err
	})
	return listener, err
}

// Set says how packets go one way.
func (l *Lab) Set(from, to string, link Link) { l.mesh.set(l.index(from), l.index(to), link) }

// Both says how packets go both ways between two regions.
func (l *Lab) Both(a, b string, link Link) {
	l.Set(a, b, link)
	l.Set(b, a, link)
}

// Isolate says how packets go between a region and all others, both ways.
func (l *Lab) Isolate(region string, link Link) {
	for _, other := range l.names {
		if other != region {
			l.Both(region, other, link)
		}
	}
}

// All says how packets go everywhere.
func (l *Lab) All(link Link) {
	for _, region := range l.names {
		l.Isolate(region, link)
	}
}

// Heal makes every link perfect. What was jammed arrives now.
func (l *Lab) Heal() { l.All(Link{}) }

// Count tells what became of the packets of one way so far.
func (l *Lab) Count(from, to string) Count { return l.mesh.count(l.index(from), l.index(to)) }

// Flap puts a link between two regions on and off, for so long each, until ctx ends;
// then it is off.
func (l *Lab) Flap(ctx context.Context, a, b string, link Link, each time.Duration) {
	defer l.Both(a, b, Link{})
	for on := true; ctx.Err() == nil; on = !on {
		if on {
			l.Both(a, b, link)
		} else {
			l.Both(a, b, Link{})
		}
		if l.mesh.clock.Sleep(ctx, each) != nil {
			return
		}
	}
}
