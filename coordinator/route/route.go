package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mahavishnu/fault"
)

// Router leads clients to a target. Implementations are safe for concurrent use
// by one process, and by coordinators that know nothing of each other.
type Router interface {
	// Point leads clients to t in the tenure with this epoch, which is above
	// zero. It is idempotent, and returns ErrStale when a higher epoch, or
	// another member at the same one, is pointed at already.
	Point(ctx context.Context, t Target, epoch uint64) error
	// Current tells where clients are led and since which epoch; epoch 0 when
	// Point never succeeded. It asks the place itself and answers nothing from
	// memory.
	Current(ctx context.Context) (Target, uint64, error)
	// Check tries everything that Point needs without changing where clients
	// are led: addresses, keys, rights, agreement of all places.
	Check(ctx context.Context) error
}

var (
	// ErrStale refuses an epoch below the highest one that was pointed at.
	ErrStale = errors.New("a newer epoch is pointed at already")
	// ErrUnknown says that a change was sent and that nobody could tell what
	// became of it. Repeating Point settles it.
	ErrUnknown = errors.New("it is not known whether the change was made")
	// ErrClock refuses this machine's clock: signatures carry the time, and the
	// other side accepts five minutes of difference.
	ErrClock = errors.New("the clocks differ too much")
)

// Target is a member of a service, as clients reach it. Which of the ways a
// router needs is the router's to say.
type Target struct {
	// Member is the name the service's configuration gives it, as in
	// messages.ValidName: 1 to 64 letters, digits, '-' and '_'.
	Member string `json:"member"`
	// Addresses are for address records and for the front.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Host is its own name in DNS, for alias and service records.
	Host string `json:"host,omitempty"`
	// Port is where it listens, for service records and for the front.
	Port uint16 `json:"port,omitempty"`
}

// Check says what makes a target useless for every router.
func (t Target) Check() error {
	if !validMember(t.Member) {
		return fmt.Errorf("%q cannot be a member: 1 to 64 letters, digits, '-' and '_', starting with a letter or digit", t.Member)
	}
	for _, a := range t.Addresses {
		if !a.IsValid() || a.IsUnspecified() || a.Zone() != "" {
			return fmt.Errorf("member %s: %q is no address that clients can reach", t.Member, a)
		}
	}
	switch {
	case t.Host != "":
		if err := checkName(t.Host); err != nil {
			return fmt.Errorf("member %s: host: %w", t.Member, err)
		}
	case len(t.Addresses) == 0:
		return fmt.Errorf("member %s has neither addresses nor a host", t.Member)
	}
	return nil
}

// Equal reports whether both lead to the same place; the order of addresses does
// not matter.
func (t Target) Equal(o Target) bool {
	return t.Member == o.Member && strings.EqualFold(strings.TrimSuffix(t.Host, "."), strings.TrimSuffix(o.Host, ".")) &&
		t.Port == o.Port && slices.Equal(sorted(t.Addresses), sorted(o.Addresses))
}

// alike reports whether both may be the same target, of which a place shows only what it
// has room for: an address record has no port.
func (t Target) alike(o Target) bool {
	if t.Port == 0 || o.Port == 0 {
		t.Port, o.Port = 0, 0
	}
	if t.Host == "" || o.Host == "" {
		t.Host, o.Host = "", ""
	}
	if len(t.Addresses) == 0 || len(o.Addresses) == 0 {
		t.Addresses, o.Addresses = nil, nil
	}
	return t.Equal(o)
}

// Dialable are the addresses to connect to, the numbers first.
func (t Target) Dialable() []string {
	var all []string
	port := strconv.Itoa(int(t.Port))
	for _, a := range t.Addresses {
		all = append(all, net.JoinHostPort(a.String(), port))
	}
	if t.Host != "" {
		all = append(all, net.JoinHostPort(strings.TrimSuffix(t.Host, "."), port))
	}
	return all
}

// String is "pg1 (192.0.2.1, pg1.example.com, port 5432)".
func (t Target) String() string {
	if t.Member == "" {
		return "nothing"
	}
	var ways []string
	for _, a := range t.Addresses {
		ways = append(ways, a.String())
	}
	if t.Host != "" {
		ways = append(ways, t.Host)
	}
	if t.Port != 0 {
		ways = append(ways, "port "+strconv.Itoa(int(t.Port)))
	}
	if len(ways) == 0 {
		return t.Member
	}
	return t.Member + " (" + strings.Join(ways, ", ") + ")"
}

func sorted(addresses []netip.Addr) []netip.Addr {
	all := make([]netip.Addr, 0, len(addresses))
	for _, a := range addresses {
		all = append(all, a.Unmap())
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

func validMember(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '-' || c == '_'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// StaleError is ErrStale with what is pointed at instead.
type StaleError struct {
	// Held is what the router keeps, Epoch is what was refused.
	Held  State
	Epoch uint64
}

// Error implements error.
func (e *StaleError) Error() string {
	if e.Epoch == e.Held.Epoch {
		return fmt.Sprintf("epoch %d belongs to %s already: %v", e.Epoch, e.Held.Target.Member, ErrStale)
	}
	return fmt.Sprintf("epoch %d is refused, %s was pointed at with epoch %d: %v", e.Epoch, e.Held.Target.Member, e.Held.Epoch, ErrStale)
}

// Unwrap returns ErrStale.
func (e *StaleError) Unwrap() error { return ErrStale }

// FaultHint implements the hint of package fault.
func (e *StaleError) FaultHint() string {
	return "this coordinator's tenure is over: let it step down; `mahavishnu failover status` tells who leads"
}

// checkPoint refuses arguments of Point that no router can use.
func checkPoint(t Target, epoch uint64) error {
	err := t.Check()
	if epoch == 0 {
		err = errors.Join(err, errors.New("epoch 0 is no tenure's"))
	}
	if err != nil {
		return fault.New("point clients at", t.Member, err, "see the members of the service in the configuration")
	}
	return nil
}
