package bus_test

import (
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

func seen(t *testing.T, s *bus.Signs, name string) bool {
	t.Helper()
	yes, err := s.Seen(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

// TestSignsOfLife keeps one sign longer than its life, releases it, and leaves
// another alone as a process that dies does.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	signs := r.Signs()
	if seen(t, signs, "session-1") {
		t.Fatal("seen before it was shown")
	}
	const life = 3 * time.Second
	kept, err := signs.Show(t.Context(), "session-1", "node1", life)
	if err != nil {
		t.Fatal(err)
	}
	// What a process leaves that dies: a key that nobody renews.
	store, err := r.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	other, err := signs.Show(t.Context(), "session-2", "node1", life)
	if err != nil {
		t.Fatal(err)
	}
	bus.Abandon(other)
	if !seen(t, signs, "session-1") || !seen(t, signs, "session-2") {
		t.Fatal("not seen when they were shown")
	}
	for end := time.Now().Add(30 * time.Second); seen(t, signs, "session-2"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the sign of a dead one is still seen")
		}
	}
	if !seen(t, signs, "session-1") {
		t.Error("a sign that is renewed ran out")
	}
	// The queue lost it: it comes back with the next renewal.
	if err := store.Delete(t.Context(), "session-1", 0); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); !seen(t, signs, "session-1"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a sign that was lost does not come back")
		}
	}
	for range 2 {
		if err := kept.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if seen(t, signs, "session-1") {
		t.Error("seen after it was released")
	}
	if _, err := signs.Show(t.Context(), "no name", "node1", life); err == nil {
		t.Error("shown by a name that is none")
	}
}
