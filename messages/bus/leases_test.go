package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

func TestLeaseOnARealServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := bus.LeaseOptions{Name: "scheduler", Holder: "a", Timing: messages.TimingFor(3 * time.Second)}
	a, err := r.Leases().Acquire(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := r.Leases().Get(t.Context(), "scheduler"); err != nil || v.Holder != "a" || v.Epoch != a.Epoch() {
		t.Errorf("Get = %+v, %v", v, err)
	}
	seen, err := r.Leases().See(t.Context(), o.Timing, "scheduler", "never")
	if s := seen["scheduler"]; err != nil || len(seen) != 1 || s.Holder != "a" || s.Lapsed || s.Renewed.IsZero() || s.Age > time.Hour {
		t.Errorf("See = %+v, %v", seen, err)
	}
	got := make(chan *bus.Lease)
	o.Holder = "b"
	go func() {
		b, err := r.Leases().Acquire(context.Background(), o)
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	select {
	case <-a.Context().Done():
		t.Fatalf("lost while the server runs: %v", context.Cause(a.Context()))
	case <-got:
		t.Fatal("taken while it is renewed")
	case <-time.After(4 * time.Second):
	}
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := <-got
	if b.Epoch() <= a.Epoch() {
		t.Errorf("epoch %d after %d", b.Epoch(), a.Epoch())
	}
	if err := b.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Leases().Get(t.Context(), "scheduler"); err != nil || v.Holder != "" {
		t.Errorf("after the release: %+v, %v", v, err)
	}
	if _, err := r.Leases().Get(t.Context(), "never"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("a lease nobody ever held: %v", err)
	}
}

func TestLeaseIsLostWithTheServer(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	r := rigOn(t, s.ClientURL())
	timing := messages.TimingFor(time.Second)
	l, err := r.Leases().Acquire(t.Context(), bus.LeaseOptions{Name: "scheduler", Holder: "a", Timing: timing})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	<-l.Context().Done()
	if !errors.Is(context.Cause(l.Context()), bus.ErrLeaseLost) {
		t.Errorf("cause %v", context.Cause(l.Context()))
	}
	if err := l.Release(t.Context()); err != nil {
		t.Errorf("release of a lost lease: %v", err)
	}
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := bus.LeaseOptions{Name: "scheduler", Holder: "a"}
	a, err := r.Leases().Acquire(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	o.Holder = "b"
	if _, err := r.Leases().Acquire(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Acquire = %v", err)
	}
}
