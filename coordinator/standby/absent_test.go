package standby_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mahavishnu/coordinator/standby"
)

func driverAt(t *testing.T, endpoint string) *standby.HTTP {
	t.Helper()
	d, err := standby.NewHTTP(standby.HTTPOptions{Endpoint: endpoint, Service: "web", Member: "a"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// free is a port that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return port
}

// ownAddress is an address of this machine that is not its loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.IsGlobalUnicast() {
			return ip.String()
		}
	}
	return "127.0.0.1"
}

// A process that is gone takes no writes: nobody listens on this machine. It was told nothing, which
// whoever ordered it must know.
func TestAFenceOfAMemberThatIsGone(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]string{"an address": "127.0.0.1", "a name": "localhost", "a card's address": ownAddress(t)} {
		err := driverAt(t, "http://"+net.JoinHostPort(host, free(t))).Fence(t.Context(), 3)
		if !errors.Is(err, standby.ErrUndelivered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A member that is there is not gone, whatever it answers; nor is one on another machine, where a
// firewall may refuse what a service would take.
func TestAFenceOfAMemberThatMayBeThere(t *testing.T) {
	t.Parallel()
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(hangsUp.Close)
	fails := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(fails.Close)
	for name, url := range map[string]string{
		"it hangs up":      hangsUp.URL,
		"it fails":         fails.URL,
		"no such name":     "http://nobody.invalid:80",
		"somewhere else":   "http://192.0.2.1:80", // an address of documentation
		"every address":    "http://0.0.0.0:" + free(t),
		"half of its name": "http://[::ffff:192.0.2.1]:80",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := fenceSoon(t, driverAt(t, url)); err == nil || errors.Is(err, standby.ErrUndelivered) {
				t.Error(err)
			}
		})
	}
}

// Demote promises that everything was handed on, which a dead primary cannot have done.
func TestADemotionOfAMemberThatIsGone(t *testing.T) {
	t.Parallel()
	err := driverAt(t, "http://127.0.0.1:"+free(t)).Demote(t.Context(), 3)
	if err == nil || errors.Is(err, standby.ErrUndelivered) || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
}

func fenceSoon(t *testing.T, d standby.Driver) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	return d.Fence(ctx, 3)
}
