package coordinator

import (
	"testing"
	"time"

	"mahavishnu/messages"
)

// How long nobody takes the writes of a service counts from when the last one was known
// to, or from when it is watched; a keeper that is silent does not count.
func TestSinceWhenNobodyTakesWrites(t *testing.T) {
	now := time.Unix(1000, 0)
	o := Options{Node: "eu-1", Region: "eu", Services: []Service{
		{Name: "db", Members: []Member{{Name: "a", Node: "n1", Region: "eu"}, {Name: "b", Node: "n2", Region: "eu"}}},
		{Name: "far", Members: []Member{{Name: "x", Region: "eu"}}},
	}}
	o.defaults()
	v, err := newView(&o, now)
	if err != nil {
		t.Fatal(err)
	}
	beat := func(node string, m messages.MemberState) {
		m.Service = "db"
		v.heard(messages.Heartbeat{Node: node, Region: "eu", IntervalMillis: 250, Members: []messages.MemberState{m}}, now)
	}
	pass := func(d time.Duration, each func()) {
		for until := now.Add(d); now.Before(until); now = now.Add(250 * time.Millisecond) {
			each()
			v.look(now)
		}
		now = now.Add(-250 * time.Millisecond) // of the last look
	}
	is := func(what string, least, most time.Duration) {
		t.Helper()
		for _, s := range v.status(now).Services {
			if d := time.Duration(s.UnservedMillis) * time.Millisecond; s.Service == "db" && (d < least || d > most) || s.Service == "far" && d != 0 {
				t.Errorf("%s: %s was not served for %v, want %v to %v", what, s.Service, d, least, most)
			}
		}
	}
	serves, follows := messages.MemberState{Member: "a", Role: "primary", Holds: true, Writable: true}, messages.MemberState{Member: "b", Role: "standby"}

	pass(10*time.Second, func() {})
	is("no keeper was ever heard", 9*time.Second, 10*time.Second)
	pass(10*time.Second, func() { beat("n2", follows) })
	is("a standby only", 19*time.Second, 20*time.Second)
	pass(10*time.Second, func() { beat("n1", serves); beat("n2", follows) })
	is("a primary", 0, 0)
	pass(20*time.Second, func() { beat("n2", follows) })
	is("its keeper is silent", 10*time.Second, 20*time.Second)
	pass(5*time.Second, func() { beat("n1", serves) })
	is("it is back", 0, 0)
	holds := serves
	holds.Writable = false
	pass(5*time.Second, func() { beat("n1", holds) })
	is("it holds the lease and takes none", 4*time.Second, 5*time.Second)
}
