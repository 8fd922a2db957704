package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"mahavishnu/coordinator/standby"
)

// memberEnv makes this test's program the service.
const memberEnv = "MAHAVISHNU_EXAMPLE"

func TestMain(m *testing.M) {
	if os.Getenv(memberEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// free is an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// The service does what docs/failover.md asks of services, also after it was killed.
func TestWhatIsAskedOfServices(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	state, address := filepath.Join(t.TempDir(), "state.json"), free(t)
	d, err := standby.NewHTTP(standby.HTTPOptions{Endpoint: "http://" + address, Service: "count"})
	if err != nil {
		t.Fatal(err)
	}
	start := func() (kill func()) {
		t.Helper()
		cmd := exec.Command(self, address, state)
		cmd.Env = append(os.Environ(), memberEnv+"=1")
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if _, err := d.Health(t.Context()); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() } // killed is an error
	}
	writes := func() bool {
		t.Helper()
		resp, err := http.Post("http://"+address+"/write", "", nil) //nolint:noctx // the test ends it
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	step := func(what string, err, want error, writable bool) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		h, err := d.Health(t.Context())
		if err != nil || h.Wrong != "" || h.Writable != writable || writes() != writable {
			t.Errorf("%s: %+v, %v", what, h, err)
		}
	}
	kill := start()
	step("it starts", nil, nil, false)
	step("promote", d.Promote(t.Context(), 3), nil, true)
	step("once more", d.Promote(t.Context(), 3), nil, true)
	step("an old fence", d.Fence(t.Context(), 2), standby.ErrStale, true)
	step("fence", d.Fence(t.Context(), 3), nil, false)
	step("a promotion that was under way", d.Promote(t.Context(), 3), standby.ErrStale, false)
	step("the next one", d.Promote(t.Context(), 4), nil, true)
	kill()
	if err := d.Fence(t.Context(), 4); !errors.Is(err, standby.ErrUndelivered) {
		t.Error(err)
	}
	kill = start()
	defer func() { kill() }()
	step("it is started again", nil, nil, false)
	step("an old promotion", d.Promote(t.Context(), 3), standby.ErrStale, false)
	step("the fence that it was not told of", d.Fence(t.Context(), 4), nil, false)
	step("the promotion of that epoch", d.Promote(t.Context(), 4), standby.ErrStale, false)
	step("demote", errors.Join(d.Promote(t.Context(), 5), d.Demote(t.Context(), 5)), nil, false)
	if err := d.Rejoin(t.Context(), standby.Peer{Name: "b", Host: "127.0.0.1", Port: 1}, 6); err != nil {
		t.Error(err)
	}
	if h, err := d.Health(t.Context()); err != nil || h.Role != standby.Standby || !h.Streaming {
		t.Errorf("%+v, %v", h, err)
	}
}
