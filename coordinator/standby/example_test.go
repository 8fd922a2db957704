//go:build !windows

package standby_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"mahavishnu/coordinator/standby"
)

// The service that the documentation shows does what it tells services to do, also after it was
// killed.
func TestTheServiceOfTheDocumentation(t *testing.T) {
	t.Parallel()
	program, state, address := filepath.Join(t.TempDir(), "member"), filepath.Join(t.TempDir(), "state.json"), "127.0.0.1:"+free(t)
	if out, err := exec.Command("go", "build", "-o", program, "mahavishnu/docs/examples/member").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := driverAt(t, "http://"+address)
	start := func() (kill func()) {
		t.Helper()
		cmd := exec.Command(program, address, state)
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
