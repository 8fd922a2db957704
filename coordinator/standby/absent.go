package standby

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
)

// ErrUndelivered says of a fence that the member takes no writes, because its process is not there,
// and that it was told nothing: one that is started again knows nothing of the epoch. Whoever ordered the
// fence counts the member as stopped, and orders it again when it answers.
var ErrUndelivered = errors.New("it was not told so")

// elsewhereHint is what to do about a member that nobody here can know to be dead.
const elsewhereHint = "run the keeper on the member's own machine, where a refused connection proves that the process is gone, or name a program that stops it"

// absent returns nil when nobody can be listening at a URL: it is an address of this very machine, and
// every address that its host stands for refuses a connection. What another machine
// refuses, a firewall may have.
func absent(ctx context.Context, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return err
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	proven := errors.New("it has no address")
	for _, address := range found {
		address = address.Unmap()
		if !slices.ContainsFunc(own, func(a net.Addr) bool { return isAt(a, address) }) {
			if address == netip.IPv6Loopback() {
				continue // in the table of hosts, on a machine without IPv6
			}
			if !address.IsLoopback() {
				return fmt.Errorf("%s is not an address of this machine", address)
			}
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(address.String(), port))
		if err == nil {
			return errors.Join(fmt.Errorf("somebody listens at %s", conn.RemoteAddr()), conn.Close())
		}
		if !errors.Is(err, refused) {
			return err
		}
		proven = nil
	}
	return proven
}

// isAt tells whether an interface has an address.
func isAt(a net.Addr, address netip.Addr) bool {
	prefix, err := netip.ParsePrefix(a.String())
	return err == nil && prefix.Addr().Unmap().WithZone("") == address.WithZone("")
}
