package failover

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// shelf is a store of records that counts what is written.
type shelf struct {
	keys   map[string][]byte
	writes int
	broken error
}

func (s *shelf) Each(_ context.Context, _ string, fn func(bus.Value) error) error {
	for key, data := range maps.All(s.keys) {
		if err := fn(bus.Value{Key: key, Data: data}); err != nil {
			return err
		}
	}
	return s.broken
}

func (s *shelf) Put(_ context.Context, key string, data []byte) (uint64, error) {
	if s.broken != nil {
		return 0, s.broken
	}
	s.writes++
	s.keys[key] = data
	return uint64(s.writes), nil
}

func (s *shelf) Delete(_ context.Context, key string, _ uint64) error {
	delete(s.keys, key)
	return s.broken
}

func (s *shelf) record(t *testing.T, key string) messages.NodeRecord {
	t.Helper()
	data, ok := s.keys[key]
	if !ok {
		return messages.NodeRecord{}
	}
	r, err := messages.DecodeNodeRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is written of nodes follows what is heard of them, writes little, and outlives
// the coordinator that wrote it.
func TestMembership(t *testing.T) {
	s := &shelf{keys: map[string][]byte{"doctor_x": []byte("not a node")}}
	m := &Membership{store: s, by: "eu-1"}
	now := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	started := now.Add(-time.Hour)
	node := func(name, verdict string, silent time.Duration) messages.NodeStatus {
		n := messages.NodeStatus{Node: name, Region: "eu", Roles: []string{"worker"}, Version: "1", Started: started}
		n.Verdict, n.SilentMillis = verdict, silent.Milliseconds()
		return n
	}
	look := func(epoch uint64, nodes ...messages.NodeStatus) {
		t.Helper()
		if err := m.look(t.Context(), messages.CoordinatorStatus{Epoch: epoch, Nodes: nodes}, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(membershipEvery)
	}
	is := func(name, state string, seen time.Time) {
		t.Helper()
		if r := s.record(t, "eu."+name); r.State != state || !r.Seen.Equal(seen) {
			t.Errorf("%s is %q, seen %v; want %q, %v", name, r.State, r.Seen, state, seen)
		}
	}
	look(0, node("a", "up", 0))
	if s.writes != 0 {
		t.Error("who does not lead writes")
	}
	began := now
	for range 10 {
		look(7, node("a", "up", 0), node("b", "up", 0), node("c", "up", 0), messages.NodeStatus{Node: "no.name", Region: "eu"})
	}
	is("a", messages.NodeUp, began)
	if s.writes != 3 {
		t.Errorf("%d writes for three nodes that stay as they are", s.writes)
	}
	// b falls silent, c is told to stop.
	look(7, node("a", "up", 0), node("b", "down", 3*time.Second))
	silent := now.Add(-membershipEvery - 3*time.Second)
	is("b", messages.NodeSilent, silent)
	is("c", messages.NodeLeft, now.Add(-membershipEvery))
	if r := s.record(t, "eu.b"); !r.First.Equal(began) || r.Version != "1" || r.By != "eu-1" {
		t.Errorf("of b is known %+v", r)
	}
	// An hour later b is out of sight. That is not its goodbye.
	look(7, node("a", "up", 0))
	is("b", messages.NodeSilent, silent)
	// While a stays as it is it is written now and then, and at once when it changes.
	before := s.writes
	for range int(seenEvery/membershipEvery) + 2 {
		look(7, node("a", "up", 0))
	}
	if s.writes != before+1 {
		t.Errorf("%d writes in %v", s.writes-before, seenEvery)
	}
	started = now
	look(7, node("a", "up", 0))
	if s.writes != before+2 || !s.record(t, "eu.a").Started.Equal(started) {
		t.Errorf("a new start is not written: %+v", s.record(t, "eu.a"))
	}
	// The next leader has heard nobody yet, and waits before it says so.
	last := s.record(t, "eu.a").Seen
	m = &Membership{store: s, by: "us-1"}
	look(9)
	is("a", messages.NodeUp, last)
	now = now.Add(membershipPatience)
	look(9)
	is("a", messages.NodeSilent, last)
	look(9, node("b", "up", 0))
	is("b", messages.NodeUp, now.Add(-membershipEvery))
	// Nobody is remembered for ever.
	now = now.Add(forgetNodes + time.Hour)
	look(9, node("b", "up", 0))
	if len(s.keys) != 2 || s.record(t, "eu.b").State != messages.NodeUp {
		t.Errorf("left are %v", s.keys)
	}
	s.broken = errors.New("no queue")
	m = &Membership{store: s, by: "us-1"}
	if err := m.look(t.Context(), messages.CoordinatorStatus{Epoch: 9}, now); err == nil || m.known != nil {
		t.Errorf("it goes on with what it could not read: %v", err)
	}
}

func TestNodeRecordIsReadAsItWasWritten(t *testing.T) {
	want := messages.NodeRecord{Node: "a", Region: "eu", Roles: []string{"worker"}, Version: "1", State: messages.NodeLeft, Seen: time.Unix(9, 0).UTC(), By: "x"}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := messages.DecodeNodeRecord(data); err != nil || !sameNode(got, want) {
		t.Errorf("%+v %v", got, err)
	}
}
