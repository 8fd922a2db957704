package app

import (
	"slices"
	"testing"
	"time"

	"mahavishnu/messages"
)

// coordinatorOf asks the process's coordinator how things are; one that does not
// listen yet says nothing.
func coordinatorOf(t *testing.T, a *App) messages.CoordinatorStatus {
	t.Helper()
	replies, err := a.Bus().AskCoordinators(t.Context(), messages.ControlRequest{Verb: messages.VerbStatus}, 1, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if len(replies) == 0 {
		return messages.CoordinatorStatus{}
	}
	s, err := messages.DecodeCoordinatorStatus(replies[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// comes waits for something that must come to be.
func comes(t *testing.T, what string, is func() bool) {
	t.Helper()
	// Asking may take seconds when somebody does not answer.
	for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("it never came to be: %s", what)
}

// The plan's hot standby is a service that is watched, and its death is a verdict; the
// one coordinator of a small system leads.
func TestAHotStandbyIsWatched(t *testing.T) {
	cfg := testConfig(t, `
disaster_recovery:
  hot_standby: {enabled: true, endpoint: "https://127.0.0.1:1", heartbeat_interval_seconds: 1}
failover: {heartbeat: 100ms}
`)
	a := started(t, Options{Config: cfg, Roles: Roles{Scheduler: true, Coordinator: true}})
	comes(t, "it leads and holds the standby down", func() bool {
		s := coordinatorOf(t, a)
		return s.Epoch > 0 && len(s.Services) == 1 && s.Services[0].Service == "hot-standby" && s.Services[0].Members[0].Verdict == "down"
	})
	if s := coordinatorOf(t, a); !s.Quorum.Have || s.Services[0].Members[0].Probe == "" {
		t.Errorf("%+v", s)
	}
}

// A node that stops because it was told to is no death: it says so and is gone.
func TestANodeThatLeavesIsNotMissed(t *testing.T) {
	first := started(t, Options{Config: testConfig(t, "failover: {heartbeat: 100ms}\n"), Roles: Roles{Scheduler: true, Coordinator: true}})
	cfg := testConfig(t, "failover: {heartbeat: 100ms}\n")
	cfg.NATS.URL, cfg.Node.Name = first.QueueURL(), "n2"
	second := started(t, Options{Config: cfg, Roles: Roles{Worker: true}})
	sees := func() bool {
		return slices.ContainsFunc(coordinatorOf(t, first).Nodes, func(n messages.NodeStatus) bool { return n.Node == "n2" && n.Verdict == "up" })
	}
	comes(t, "the second node is seen", sees)
	if err := second.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	comes(t, "the second node is gone", func() bool { return !sees() })
	for _, n := range coordinatorOf(t, first).Nodes {
		if n.Node == "n2" {
			t.Errorf("it is missed: %+v", n)
		}
	}
}
