package failover

import (
	"errors"
	"testing"
	"time"

	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// How a member is, is what its keeper says now, or what the lease proves. What was heard
// earlier, here that it takes writes, counts for nothing.
func TestWhatCanBeReliedOn(t *testing.T) {
	p, b := planned(t)
	c := plan.Call{Epoch: 7, Execution: "x", Node: "n", Params: map[string]string{"service": "orders", "member": "b"}}
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	// lease writes who holds the lease, and when that was seen here; zero is never.
	lease := func(holder string, seen time.Time) {
		t.Helper()
		value := messages.LeaseValue{Holder: holder, Epoch: 20}
		data, err := value.Encode()
		if err != nil {
			t.Fatal(err)
		}
		revision, err := store.Put(t.Context(), messages.ServiceLease("orders"), data)
		if err != nil {
			t.Fatal(err)
		}
		if !seen.IsZero() {
			p.leases.views["orders"] = leaseSeen{value, revision, seen}
		}
	}
	fenced := p.ordering(messages.VerbFence, func(m messages.MemberState) bool { return !m.Writable && m.Role == "fenced" })
	promoted := p.ordering(messages.VerbPromote, func(m messages.MemberState) bool { return m.Holds && m.Writable })
	long, now := time.Now().Add(-time.Hour), time.Now()
	for _, s := range []struct {
		name    string
		lease   func()
		certain bool
	}{
		{"there is no lease", func() {}, true},
		{"it holds the lease", func() { lease("b", now.Add(time.Hour)) }, false},
		{"it renewed the lease, which was not seen here", func() { lease("b", time.Time{}) }, false},
		{"it did not renew the lease", func() { lease("b", long) }, true},
		{"it renewed it since", func() { lease("b", long); lease("b", time.Time{}) }, false},
		{"it gave the lease back", func() { lease("", time.Time{}) }, true},
		{"another one holds the lease", func() { lease("a", time.Time{}) }, true},
	} {
		s.lease()
		done, err := fenced.Done(t.Context(), c)
		if done != s.certain || (err == nil) != s.certain {
			t.Errorf("%s, and it is silent: stopped is %v, want %v (%v)", s.name, done, s.certain, err)
		}
		if done, err := promoted.Done(t.Context(), c); done || (err == nil) != s.certain {
			t.Errorf("%s, and it is silent: promoted is %v (%v)", s.name, done, err)
		}
		if serves, err := p.takesWrites(t.Context(), c, "orders", "b"); serves || err != nil {
			t.Errorf("%s, and it is silent: it serves is %v (%v)", s.name, serves, err)
		}
	}
	if _, err := p.now(t.Context(), c, "orders", "b"); err != nil {
		t.Error(err)
	}
	lease("b", now.Add(time.Hour))
	if _, err := p.now(t.Context(), c, "orders", "b"); !errors.Is(err, bus.ErrNobody) {
		t.Errorf("it does not say why: %v", err)
	}
	keeps := &answering{state: messages.MemberState{Service: "orders", Member: "b", Role: "primary", Epoch: 7, Holds: true, Writable: true}}
	keeps.serve(t, b)
	if done, err := promoted.Done(t.Context(), c); err != nil || !done {
		t.Errorf("its keeper says so: %v %v", done, err)
	}
	lease("a", now)
	if done, err := fenced.Done(t.Context(), c); err != nil || done {
		t.Errorf("its keeper knows better than the lease: %v %v", done, err)
	}
}
