package coordinator

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/messages"
)

const beat = 250 * time.Millisecond

// watcher is a view whose own process is called "self".
func watcher(t *testing.T, now time.Time) *view {
	t.Helper()
	o := &Options{Node: "self", Region: "eu", Instance: "own", Started: now, Clock: clock.Or(nil)}
	o.defaults()
	v, err := newView(o, now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// word is one heartbeat of a process.
func word(node, instance string, started time.Time) messages.Heartbeat {
	return messages.Heartbeat{Node: node, Region: "us", Instance: instance, Started: started, IntervalMillis: beat.Milliseconds()}
}

func TestTwoProcessesOfOneName(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	v := watcher(t, start)
	now := start
	say := func(node, instance string, started time.Time) {
		now = now.Add(beat / 2)
		v.heard(word(node, instance, started), now)
	}
	twin := func(node string) string { return v.twin(node, beat, now) }

	// A process that ends and one that starts in its place are no twins, although the
	// last word of the old one comes after the first of the new one.
	for range 10 {
		say("n1", "a", start)
	}
	say("n1", "b", start.Add(time.Second))
	say("n1", "a", start)
	for range 30 {
		say("n1", "b", start.Add(time.Second))
	}
	if why := twin("n1"); why != "" {
		t.Errorf("a restart: %s", why)
	}
	if n := v.nodes["n1"]; n.starts != 2 {
		t.Errorf("it started %d times, want 2", n.starts)
	}
	// Two that go on are; each has its say, and neither starts anew.
	for range 3 {
		say("n1", "c", start.Add(2*time.Second))
		say("n1", "b", start.Add(time.Second))
	}
	if why := twin("n1"); !strings.Contains(why, "n1") || !strings.Contains(why, "00:00:01Z") || !strings.Contains(why, "00:00:02Z") {
		t.Errorf("twins: %q", why)
	}
	if n := v.nodes["n1"]; n.starts != 3 {
		t.Errorf("with twins it started %d times, want 3", n.starts)
	}
	if got := v.status(now).Nodes[0]; got.Twin == "" {
		t.Errorf("the status says nothing: %+v", got)
	}
	// One leaves: the other is there, and alone.
	left := word("n1", "c", start.Add(2*time.Second))
	left.Leaving = true
	v.heard(left, now)
	if why := twin("n1"); why != "" || v.nodes["n1"] == nil {
		t.Errorf("one has left: %q, known: %v", why, v.nodes["n1"] != nil)
	}
	// Processes that tell no instance have no twins.
	for range 3 {
		say("old", "", start)
		say("old", "", start.Add(time.Second))
	}
	if why := twin("old"); why != "" {
		t.Errorf("no instance: %s", why)
	}
}

// The younger of two refuses; the older goes on, and so does who is older by its name
// when both started at once.
func TestTheSecondOfOneNameRefuses(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		other   string
		started time.Duration // after this one
		refuses bool
	}{
		{"the other is older", "other", -time.Hour, true},
		{"the other is younger", "other", time.Hour, false},
		{"at once, first by name", "a", 0, true},
		{"at once, second by name", "z", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := watcher(t, start)
			now := start
			for i := range 4 {
				now = now.Add(beat)
				v.heard(word("self", c.other, start.Add(c.started)), now)
				if err := v.second(now); i == 0 && err != nil {
					t.Errorf("after one word it refuses: %v", err)
				}
				v.heard(word("self", "own", start), now)
			}
			err := v.second(now)
			if (err != nil) != c.refuses || err != nil && !errors.Is(err, ErrTwin) {
				t.Errorf("it refuses: %v", err)
			}
			if why := v.twin("self", beat, now); why == "" {
				t.Error("the status says nothing")
			}
			// When the other is not heard any more, it is none.
			if err := v.second(now.Add(time.Minute)); err != nil {
				t.Errorf("a minute later: %v", err)
			}
		})
	}
}
