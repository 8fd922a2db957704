package failover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"

	"mahavishnu/lab/netlab"
)

// network is where the machines are.
type network interface {
	// About says what it is, for reports.
	About() string
	// Addr is a machine's address, a number.
	Addr(machine string) string
	// Local is the address by which a machine reaches itself.
	Local(machine string) string
	// Names is where a name server on a machine may answer, as "host:port".
	Names(ctx context.Context, machine string) (string, error)
	// Start starts a process on a machine.
	Start(machine string, cmd *exec.Cmd) error
	// Dial connects from a machine.
	Dial(ctx context.Context, machine, network, address string) (net.Conn, error)
	// Reach is the address by which this process reaches an address of a machine.
	Reach(ctx context.Context, machine, address string) (string, error)
	// Isolate cuts a machine off, Heal ends that.
	Isolate(machine string)
	Heal()
	Close() error
}

// newNetwork makes a network in which machines can be cut off, unless it is to be a plain
// one, or has to be; why says what hinders it then.
func newNetwork(machines []string, plain bool) (n network, isolates bool, why error) {
	why = errors.New("machines are addresses of the loopback interface")
	if !plain {
		var made *netlab.Lab
		if made, why = netlab.New(netlab.Options{Regions: machines}); why == nil {
			return lab{made}, true, nil
		}
	}
	return loopback{machines: machines, net: [2]int{64 + rand.IntN(128), 1 + rand.IntN(250)}}, false, why
}

// lab is a network whose machines are namespaces.
type lab struct{ *netlab.Lab }

func (l lab) About() string              { return "a network namespace for each machine, joined in user space" }
func (l lab) Addr(machine string) string { return l.Lab.Addr(machine).String() }
func (l lab) Local(string) string        { return "127.0.0.1" }
func (l lab) Names(_ context.Context, machine string) (string, error) {
	return net.JoinHostPort(l.Addr(machine), dnsPort), nil
}

func (l lab) Isolate(machine string) { l.Lab.Isolate(machine, netlab.Link{Cut: true}) }
func (l lab) Reach(_ context.Context, machine, address string) (string, error) {
	return l.Forward(machine, address)
}

// loopback is one whose machines are addresses of this machine.
type loopback struct {
	machines []string
	net      [2]int // of 127.x.y.n
}

func (l loopback) About() string { return "an address of the loopback interface for each machine" }

func (l loopback) Addr(machine string) string {
	return fmt.Sprintf("127.%d.%d.%d", l.net[0], l.net[1], 1+slices.Index(l.machines, machine))
}

func (l loopback) Local(machine string) string { return l.Addr(machine) }

// Names is an address that the interface is known to have: BIND answers on no other.
func (loopback) Names(ctx context.Context, _ string) (string, error) {
	free, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return free.Addr().String(), free.Close()
}

func (l loopback) Start(_ string, cmd *exec.Cmd) error { return cmd.Start() }

func (l loopback) Dial(ctx context.Context, _, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (l loopback) Reach(_ context.Context, _, address string) (string, error) { return address, nil }

// Isolate and Heal are never asked of it; see possible.
func (loopback) Isolate(string) {}
func (loopback) Heal()          {}
func (loopback) Close() error   { return nil }
