package app

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"mahavishnu/coordinator"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// Two processes are given one name: the one that was there goes on, and the second one
// ends with an error that says so; one that keeps members of services says so before it
// touches any.
func TestTheSecondProcessOfANameEnds(t *testing.T) {
	const service = `
failover:
  heartbeat: 100ms
  coordinators: [{node: n1, region: eu}]
  services:
    orders:
      kind: command
      members:
        a: {node: n1, region: eu, address: "127.0.0.1:1", commands: {health: ["true"], fence: ["true"], promote: ["true"], demote: ["true"]}}
        b: {region: eu, address: "127.0.0.1:2"}
`
	first := started(t, Options{Config: testConfig(t, service), Roles: Roles{Scheduler: true, Coordinator: true}})
	comes(t, "the first one leads", func() bool { return coordinatorOf(t, first).Epoch > 0 })

	keeps := testConfig(t, service)
	keeps.NATS.URL = first.QueueURL()
	second, err := New(Options{Config: keeps, Roles: Roles{Coordinator: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); !errors.Is(err, coordinator.ErrTwin) {
		t.Errorf("a second keeper started: %v", errors.Join(err, second.Stop(t.Context())))
	}

	votes := testConfig(t, "failover: {heartbeat: 100ms}\n")
	votes.NATS.URL = first.QueueURL()
	third, err := New(Options{Config: votes, Roles: Roles{Coordinator: true}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := third.Run(ctx); !errors.Is(err, coordinator.ErrTwin) {
		t.Errorf("a second coordinator ended with %v", err)
	}

	// A worker does no harm under another's name. It goes on, and is told of.
	works := testConfig(t, "failover: {heartbeat: 100ms}\n")
	works.NATS.URL = first.QueueURL()
	started(t, Options{Config: works, Roles: Roles{Worker: true}})
	comes(t, "the status tells of two", func() bool {
		return slices.ContainsFunc(coordinatorOf(t, first).Nodes, func(n messages.NodeStatus) bool { return n.Node == "n1" && n.Twin != "" })
	})
	if s := coordinatorOf(t, first); s.Epoch == 0 || s.Node != "n1" {
		t.Errorf("the first one does not lead any more: %+v", s)
	}
	told := false
	comes(t, "an event tells of it", func() bool {
		err := first.Bus().ReadEvents(t.Context(), bus.EventFilter{Kind: messages.EventVerdict, Outcome: messages.OutcomeTwin}, func(bus.EventMessage) error { told = true; return nil })
		return err == nil && told
	})
}
