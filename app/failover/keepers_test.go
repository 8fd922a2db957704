package failover

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/coordinator/keeper"
	"mahavishnu/coordinator/standby"
	"mahavishnu/coordinator/standby/standbytest"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// comes waits for something that must come to be.
func comes(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("it never came to be: %s", what)
}

// kept is a standby with its keeper, and the bus on which another holds the lease of
// its service.
func kept(t *testing.T) (*keeper.Keeper, *bus.Lease) {
	k, held, _ := keptBy(t, t.TempDir(), nil)
	return k, held
}

// keptBy is the same with a keeper that has its state in a directory and tells every change of its
// status to somebody, and the bus.
func keptBy(t *testing.T, dir string, tell func(keeper.Status)) (*keeper.Keeper, *bus.Lease, *bus.Bus) {
	t.Helper()
	const service = "counter"
	b := queue(t)
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	timing := messages.TimingFor(2 * time.Second)
	held, err := b.Leases().Acquire(t.Context(), bus.LeaseOptions{Name: messages.ServiceLease(service), Holder: "a", Timing: timing})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Release(context.WithoutCancel(t.Context())) }) //nolint:errcheck // it may be released already
	group := standbytest.NewGroup()
	group.Member(t, "a")
	driver, err := standby.NewHTTP(standby.HTTPOptions{Endpoint: group.Member(t, "b").URL(), Service: service})
	if err != nil {
		t.Fatal(err)
	}
	line := newTenures(b, service, "b", timing, nil)
	k, err := keeper.New(keeper.Options{
		Service: service, Member: "b", Driver: driver, Leases: line, Records: keeper.BusRecords(store), Timing: timing,
		StateFile: filepath.Join(dir, "b.json"), OnChange: tell,
	})
	if err != nil {
		t.Fatal(err)
	}
	line.options.Alive = k.Alive
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = line.run(ctx) })
	running.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return k, held, b
}

// A promotion that nobody waits for any more is not in force: the member does not take
// over when the lease becomes free later.
func TestAnOrderIsInForceAsLongAsItIsWaitedFor(t *testing.T) {
	k, held := kept(t)
	ordered := make(chan messages.MemberReply, 1)
	go func() {
		ordered <- obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbPromote, Epoch: 5, PatienceMillis: 1500})
	}()
	comes(t, "the keeper waits for the lease", func() bool { return k.Status().State == keeper.Waiting })
	if reply := <-ordered; reply.OK || !strings.Contains(reply.Message, errNoPatience.Error()) {
		t.Errorf("%+v", reply)
	}
	comes(t, "the keeper waits for it no longer", func() bool { return k.Status().State == keeper.Following })
	if err := held.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	reply := obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbPromote, Epoch: 6})
	if !reply.OK || !reply.State.Holds {
		t.Errorf("the lease is free, and it is ordered again: %+v", reply)
	}
}

// A keeper that hangs in the middle of something loses its lease, which nobody renews for it, so
// that another may take over.
func TestAKeeperThatHangsLosesItsLease(t *testing.T) {
	hanging, wakes := make(chan struct{}), make(chan struct{})
	var hangs sync.Once
	k, held, b := keptBy(t, t.TempDir(), func(s keeper.Status) {
		if s.State == keeper.Fencing {
			hangs.Do(func() { close(hanging); <-wakes })
		}
	})
	defer close(wakes)
	if err := held.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reply := obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbPromote, Epoch: 5}); !reply.OK {
		t.Fatalf("%+v", reply)
	}
	go obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbFence, Epoch: 6, PatienceMillis: 100})
	<-hanging
	comes(t, "the keeper is seen to hang", func() bool { return !k.Alive() })
	other, err := b.Leases().Acquire(t.Context(), bus.LeaseOptions{Name: messages.ServiceLease("counter"), Holder: "a", Timing: messages.TimingFor(2 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What to do about a refusal comes back with it.
func TestARefusalComesWithItsHint(t *testing.T) {
	k, _ := kept(t)
	if reply := obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbStatus, Epoch: 9}); !reply.OK || reply.State.Epoch != 9 {
		t.Errorf("asked by a coordinator: %+v", reply)
	}
	reply := obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbFence, Epoch: 8})
	if reply.OK || reply.Code != messages.MemberStale || reply.Hint != "another coordinator leads now" {
		t.Errorf("%+v", reply)
	}
	if reply = obey(k)(t.Context(), messages.MemberCommand{Verb: messages.VerbStatus, Epoch: 8}); reply.OK || reply.Code != messages.MemberStale {
		t.Errorf("a question of an older one: %+v", reply)
	}
}

func TestWhereAPeerIs(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:5432": "10.0.0.1:5432", "http://orders.eu:8080/control": "orders.eu:8080", "https://10.0.0.1": "10.0.0.1:443", "http://[::1]:80": "[::1]:80",
	} {
		host, port, err := peerAddress(address)
		if got := (standby.Peer{Host: host, Port: port}).Address(); err != nil || got != want {
			t.Errorf("%s is at %s, %v, want %s", address, got, err, want)
		}
	}
	if _, _, err := peerAddress("nowhere"); err == nil {
		t.Error("an address without a port was taken")
	}
}

func TestWhoIsGone(t *testing.T) {
	for what, c := range map[string]struct {
		verdict string
		keeper  *messages.MemberState
		want    bool
	}{
		"most regions hold it down":                    {"down", nil, true},
		"it was fenced, and something else started it": {"suspect", &messages.MemberState{Role: "fenced"}, true},
		"it could not be stopped":                      {"up", &messages.MemberState{Role: "fenced", Writable: true, Holds: true}, false},
		"it serves":                                    {"up", &messages.MemberState{Role: "primary", Writable: true, Holds: true}, false},
		"its keeper was never heard":                   {"up", nil, false},
	} {
		if got := gone(messages.MemberStatus{Seen: messages.Seen{Verdict: c.verdict}, Keeper: c.keeper}); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
