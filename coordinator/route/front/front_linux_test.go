package front_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"mahavishnu/coordinator/route"
	"mahavishnu/coordinator/route/front"
)

// silent is an address that answers no connection request, like a machine that is
// cut off: a listener whose queue is full.
func silent(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*syscall.SockaddrInet4).Port))
	for range 16 {
		c, err := net.DialTimeout("tcp", at.String(), 100*time.Millisecond)
		if err != nil {
			return at
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue never fills")
	return at
}

// TestDeadMemberDoesNotDelayItsSuccessor leads to a member that swallows
// everything: who waits for it goes to its successor without a time-out.
func TestDeadMemberDoesNotDelayItsSuccessor(t *testing.T) {
	two, dead := startMember(t, "pg2"), silent(t)
	f := start(t, front.Options{DialTimeout: time.Hour, Hold: time.Hour})
	if err := f.Point(t.Context(), route.Target{Member: "pg1", Addresses: []netip.Addr{dead.Addr()}, Port: dead.Port()}, 41); err != nil {
		t.Fatal(err)
	}
	c := connect(t, f)
	until(t, "a client that waits", func() bool { return f.Stats().Held == 1 })
	point(t, f, two, 42)
	c.hears("pg2")
}
