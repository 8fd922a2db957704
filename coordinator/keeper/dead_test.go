//go:build !windows

package keeper_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// memberEnv has the address at which this test's program is a member of a service over HTTP. It
// takes writes from the start when the address has a path, as no service should.
const memberEnv = "MAHAVISHNU_MEMBERTEST"

// serveMember is the process of a member.
func serveMember(at string) error {
	at, _, writable := strings.Cut(at, "/")
	var mu sync.Mutex
	var epoch uint64
	return http.ListenAndServe(at, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var o struct{ Epoch uint64 }
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(r.Body).Decode(&o); err != nil || o.Epoch < epoch {
				http.Error(w, fmt.Sprint(err), http.StatusConflict)
				return
			}
			epoch, writable = o.Epoch, r.URL.Path == "/promote"
		}
		role := map[bool]string{true: "primary", false: "standby"}[writable]
		_ = json.NewEncoder(w).Encode(map[string]any{"role": role, "writable": writable, "position": fmt.Sprint(epoch)}) // the keeper has gone
	}))
}

// served is a member in a process of its own, with its keeper in this one.
type served struct {
	t       *testing.T
	address string
	process *os.Process
	state   string
	k       *keeper.Keeper
}

func (m *served) run(at string) {
	m.t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), memberEnv+"="+at)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.process = cmd.Process
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // killed is an error
	m.t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
}

func (m *served) health() standby.Health {
	d, err := standby.NewHTTP(standby.HTTPOptions{Endpoint: "http://" + m.address, Service: "web", ProbeTimeout: 10 * time.Second})
	if err != nil {
		m.t.Fatal(err)
	}
	h, _ := d.Health(m.t.Context()) // one that is gone has no health
	return h
}

func (m *served) order(c keeper.Command, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	_, err := m.k.Do(ctx, c)
	return err
}

// pair starts a service of two members, the first of which takes writes. The first one's process is
// ended by the program stop, whose arguments may contain PID-FILE.
func pair(t *testing.T, b *bus.Bus, service string, stop ...string) (first, second *served) {
	t.Helper()
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*served{}
	for _, name := range []string{"a", "b"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		m := &served{t: t, address: l.Addr().String(), state: filepath.Join(t.TempDir(), "state.json")}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		all[name] = m
		m.run(m.address)
		await(t, "the member answers", func() bool { return m.health().Running })
		spec := standby.HTTPOptions{Endpoint: "http://" + m.address, Service: service, Member: name}
		if name == "a" && len(stop) > 0 {
			spec.Stop.Program = append(stop, strconv.Itoa(m.process.Pid))
		}
		driver, err := standby.NewHTTP(spec)
		if err != nil {
			t.Fatal(err)
		}
		m.k, err = keeper.New(keeper.Options{
			Service: service, Member: name, Driver: driver, Leases: busLeases{b.Leases()}, Records: keeper.BusRecords(store),
			Timing: messages.TimingFor(2 * time.Second), StateFile: m.state, Patience: 500 * time.Millisecond, Retake: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- m.k.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
	}
	if err := all["a"].order(keeper.Command{Verb: keeper.Promote, Epoch: 1}, time.Minute); err != nil {
		t.Fatal(err)
	}
	return all["a"], all["b"]
}

// told tells whether the member of a keeper owes no fence any more, and takes no writes.
func (m *served) told() bool {
	text, err := os.ReadFile(m.state)
	if err != nil {
		m.t.Fatal(err)
	}
	h := m.health()
	return !strings.Contains(string(text), "owed") && h.Running && !h.Writable
}

// The process of a primary ends in all the ways in which it cannot be told to take no more writes.
func TestAMemberThatCannotBeToldToStop(t *testing.T) {
	t.Parallel()
	url := natstest.Start(t).ClientURL()
	conn, err := bus.Connect(t.Context(), bus.Options{URL: url, Name: "keepers"})
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Provision(t.Context(), conn, bus.ProvisionOptions{Regions: []string{"eu"}}); err != nil {
		t.Fatal(err)
	}
	b, err := bus.Bind(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // nothing is lost with it
	takesOver := func(t *testing.T, m *served, epoch uint64) {
		t.Helper()
		if err := m.order(keeper.Command{Verb: keeper.Promote, Epoch: epoch}, 2*time.Minute); err != nil || !m.health().Writable {
			t.Fatalf("the other member does not take over: %v", err)
		}
	}
	t.Run("it is dead", func(t *testing.T) {
		t.Parallel()
		first, second := pair(t, b, "dead")
		if err := first.order(keeper.Command{Verb: keeper.Confirm, Epoch: 2, By: "ann", Why: "a mistake"}, time.Minute); err == nil || first.k.Status().State != keeper.Leading {
			t.Errorf("a person's word stopped a primary that is well: %v", err)
		}
		if err := first.process.Kill(); err != nil {
			t.Fatal(err)
		}
		takesOver(t, second, 2)
		// Something starts it, and it takes writes at once.
		first.run(first.address + "/wild")
		await(t, "it is told to take none", first.told)
	})
	t.Run("it is frozen, and a program ends it", func(t *testing.T) {
		t.Parallel()
		first, second := pair(t, b, "ended", "kill", "-9")
		if err := first.process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		takesOver(t, second, 2)
		first.run(first.address + "/wild")
		await(t, "it is told to take none", first.told)
	})
	t.Run("it is frozen, and a person says that it is not", func(t *testing.T) {
		t.Parallel()
		first, second := pair(t, b, "frozen")
		if err := first.process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		await(t, "it cannot be stopped", func() bool { s := first.k.Status(); return s.State == keeper.Fencing && s.Trouble != "" })
		// For longer than a lease that nobody renews would last.
		if err := second.order(keeper.Command{Verb: keeper.Promote, Epoch: 2}, 3*time.Second); err == nil {
			t.Fatal("the other member took over from one that may wake up")
		}
		if s := first.k.Status(); !s.Holds || s.State != keeper.Fencing {
			t.Errorf("%+v", s)
		}
		if err := first.order(keeper.Command{Verb: keeper.Confirm, Epoch: 0, By: "ann", Why: "old news"}, time.Minute); !errors.Is(err, keeper.ErrStale) {
			t.Error(err)
		}
		if err := first.order(keeper.Command{Verb: keeper.Confirm, Epoch: 3, By: "ann", Why: "switched it off"}, time.Minute); err != nil {
			t.Fatal(err)
		}
		if s := first.k.Status(); s.Holds || s.State != keeper.Fenced || !strings.Contains(s.Reason, "ann says that it was stopped by hand: switched it off") {
			t.Errorf("%+v", s)
		}
		takesOver(t, second, 3)
		if err := first.process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		await(t, "it is told to take none", first.told)
	})
}
