//go:build !windows

package standby_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/coordinator/standby"
)

// hanging is a service that answers nothing.
func hanging(t *testing.T) string {
	t.Helper()
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(over); s.Close() })
	return s.URL
}

// ending is a program that leaves a file which says whom it ended, and fails if it is told to.
func ending(t *testing.T, exit string) (stop standby.Stop, ended func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ended")
	program := []string{"sh", "-c", `echo "$MAHAVISHNU_SERVICE $MAHAVISHNU_MEMBER $MAHAVISHNU_EPOCH" >"$0"; exit ` + exit, file}
	return standby.Stop{Program: program, After: 20 * time.Millisecond}, func() string {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		return strings.TrimSpace(string(text))
	}
}

// What does not carry out a fence is ended, and nothing else is.
func TestAProgramEndsAMemberThatHangs(t *testing.T) {
	t.Parallel()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) }))
	t.Cleanup(refuses.Close)
	obeys := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(obeys.Close)
	for _, c := range []struct {
		name, endpoint, exit string
		want                 error
		ends                 bool
	}{
		{"it hangs", hanging(t), "0", standby.ErrUndelivered, true},
		{"it hangs, and cannot be ended", hanging(t), "1", nil, true},
		{"it obeys", obeys.URL, "0", nil, false},
		{"it has seen a later epoch", refuses.URL, "0", standby.ErrStale, false},
		{"it is gone", "http://127.0.0.1:" + free(t), "0", standby.ErrUndelivered, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stop, ended := ending(t, c.exit)
			if !c.ends {
				stop.After = time.Minute // longer than an answer takes
			}
			d, err := standby.NewHTTP(standby.HTTPOptions{Endpoint: c.endpoint, Service: "web", Member: "a", Stop: stop})
			if err != nil {
				t.Fatal(err)
			}
			err = d.Fence(t.Context(), 7)
			switch {
			case c.want != nil && !errors.Is(err, c.want), c.exit == "1" && (err == nil || errors.Is(err, standby.ErrUndelivered)), c.want == nil && c.exit == "0" && err != nil:
				t.Errorf("%v", err)
			}
			if got := ended(); (got == "web a 7") != c.ends || !c.ends && got != "" {
				t.Errorf("ended: %q", got)
			}
		})
	}
}

// A member of programs whose fence fails is ended, too.
func TestAProgramEndsAMemberWhoseFenceFails(t *testing.T) {
	t.Parallel()
	stop, ended := ending(t, "0")
	stop.After = time.Minute
	idle := []string{"true"}
	d, err := standby.NewCommand(standby.CommandOptions{Service: "web", Member: "a", Health: idle, Fence: []string{"false"}, Promote: idle, Demote: idle, Stop: stop})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Fence(t.Context(), 7); !errors.Is(err, standby.ErrUndelivered) || ended() != "web a 7" {
		t.Errorf("%v, ended: %q", err, ended())
	}
}

// What a machine lacks is known before it is needed.
func TestWhatAMachineLacks(t *testing.T) {
	t.Parallel()
	idle, nowhere := []string{"true"}, []string{"/nowhere/program"}
	command := func(change func(*standby.CommandOptions)) standby.Checker {
		o := standby.CommandOptions{Service: "web", Member: "a", Health: idle, Fence: idle, Promote: idle, Demote: idle}
		change(&o)
		d, err := standby.NewCommand(o)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	overHTTP := func(o standby.HTTPOptions) standby.Checker {
		o.Endpoint, o.Service = "http://127.0.0.1:1", "web"
		d, err := standby.NewHTTP(o)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, c := range map[string]struct {
		d                    standby.Checker
		unstoppable, lacking bool
	}{
		"nothing":         {command(func(*standby.CommandOptions) {}), false, false},
		"its fence":       {command(func(o *standby.CommandOptions) { o.Fence = nowhere }), true, false},
		"its stop":        {command(func(o *standby.CommandOptions) { o.Stop.Program = nowhere }), true, false},
		"its promotion":   {command(func(o *standby.CommandOptions) { o.Promote = nowhere }), false, true},
		"its rejoin":      {command(func(o *standby.CommandOptions) { o.Rejoin = nowhere }), false, true},
		"nothing of HTTP": {overHTTP(standby.HTTPOptions{}), false, false},
		"a token":         {overHTTP(standby.HTTPOptions{TokenFile: "/nowhere/token"}), true, false},
		"a stop of HTTP":  {overHTTP(standby.HTTPOptions{Stop: standby.Stop{Program: nowhere}}), true, false},
	} {
		unstoppable, lacking := c.d.Check()
		if (unstoppable != nil) != c.unstoppable || (lacking != nil) != c.lacking {
			t.Errorf("it lacks %s: %v; %v", name, unstoppable, lacking)
		}
	}
}

// The exit code of a health command means nothing, and one that says nothing is quoted with nothing.
func TestAHealthCommandThatFails(t *testing.T) {
	t.Parallel()
	idle := []string{"true"}
	d, err := standby.NewCommand(standby.CommandOptions{Service: "web", Member: "a", Health: []string{"sh", "-c", "exit 5"}, Fence: []string{"sh", "-c", "exit 5"}, Promote: idle, Demote: idle, ProbeTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := d.Health(t.Context()); err != nil || h.Running || h.Detail != "sh: exit status 5" {
		t.Errorf("%+v, %v", h, err)
	}
	if err := d.Fence(t.Context(), 1); !errors.Is(err, standby.ErrStale) {
		t.Error(err)
	}
}
