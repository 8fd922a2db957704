package coordinator

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/messages"
)

// What a keeper says of who serves is reacted to when it says it, not when its member is
// missed; and what it repeats is no news.
func TestAKeepersWordIsReactedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acts := &actor{}
		c, err := New(Options{
			Node: "eu-1", Region: "eu", Lines: newHub().line("eu-1"), Elector: seat{newThrone(), "eu-1"}, Reactor: acts,
			Services: []Service{{Name: "db", Kind: "postgres", Members: []Member{{Name: "a", Node: "db-a", Region: "eu", Probe: &switched{}}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		says := func(m messages.MemberState) int {
			m.Service, m.Member = "db", "a"
			c.heartbeat(messages.Heartbeat{Node: "db-a", Region: "eu", IntervalMillis: 250, Members: []messages.MemberState{m}})
			time.Sleep(10 * time.Millisecond)
			return len(acts.take())
		}
		time.Sleep(2 * time.Second)
		serves, fenced := messages.MemberState{Role: "primary", Holds: true, Writable: true}, messages.MemberState{Role: "fenced"}
		says(serves)
		for i, step := range []struct {
			says messages.MemberState
			want int
		}{{serves, 0}, {fenced, 1}, {fenced, 0}, {serves, 1}} {
			if got := says(step.says); got != step.want {
				t.Errorf("word %d: reacted to %d times, want %d", i, got, step.want)
			}
		}
	})
}
