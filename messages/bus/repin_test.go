package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// TestLeadersStayOutOfTheActiveRegion moves leaders from region to region, kills a
// server of the active one without losing the lease stream's leader, and is told
// when there is nowhere to move to.
func TestLeadersStayOutOfTheActiveRegion(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartProcesses(t, 3) // n1, n2, n3: one a region
	r := rigOn(t, cluster.URL(), func(o *bus.ProvisionOptions) { o.Replicas, o.Regions = 3, []string{region} })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	own := func(server string) string { return server }
	leases := "KV_" + messages.BucketLeases
	for _, active := range []string{"n1", "n2", "n3", "n1"} {
		pinned, err := bus.Repin(ctx, r.Conn(), bus.RepinOptions{Away: active, RegionOf: own})
		if err != nil {
			t.Fatal(err)
		}
		if len(pinned) != 3 {
			t.Errorf("away from %s: %+v", active, pinned)
		}
		for _, p := range pinned {
			if p.Leader == "" || p.Leader == active || p.Region != p.Leader || p.From != "" && p.From != active {
				t.Errorf("away from %s: %+v", active, p)
			}
			if now := cluster.StreamLeader(p.Stream); now == active {
				t.Errorf("%s is led by %s", p.Stream, now)
			}
		}
	}
	// A preference decides who succeeds.
	leader := cluster.StreamLeader(leases)
	others := map[string]string{"n1": "n2", "n2": "n3", "n3": "n1"}
	pinned, err := bus.Repin(ctx, r.Conn(), bus.RepinOptions{Away: leader, RegionOf: own, Prefer: []string{others[leader]}, Streams: []string{leases}})
	if err != nil || len(pinned) != 1 || pinned[0].Leader != others[leader] || pinned[0].From != leader {
		t.Errorf("away from %s, best %s: %+v, %v", leader, others[leader], pinned, err)
	}

	// The active region dies: leases go on without an election.
	active := leader
	store, err := r.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Kill(active)
	began := time.Now()
	if _, err := store.Create(ctx, "held", []byte("x")); err != nil {
		t.Fatal(err)
	}
	t.Logf("a write to the leases took %v after the active region died", time.Since(began))
	if now := cluster.StreamLeader(leases); now != others[leader] {
		t.Errorf("the leases are led by %s", now)
	}
	// Two regions are left, of which one leads: to stay out of that one, the other
	// takes over; and with all in the active region, there is nowhere to go.
	if _, err := bus.Repin(ctx, r.Conn(), bus.RepinOptions{Away: "all", RegionOf: func(string) string { return "all" }, Streams: []string{leases}}); err == nil {
		t.Error("the leader moved out of the only region")
	}
	if _, err := bus.Repin(ctx, r.Conn(), bus.RepinOptions{}); err == nil {
		t.Error("no region to stay out of was accepted")
	}
}

func TestOneServerHasNoLeaderToMove(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pinned, err := bus.Repin(t.Context(), r.Conn(), bus.RepinOptions{Away: region})
	if err != nil || len(pinned) != 3 || pinned[0].Leader != "" {
		t.Errorf("%+v, %v", pinned, err)
	}
	if _, err := bus.Repin(t.Context(), r.Conn(), bus.RepinOptions{Away: region, Streams: []string{"MISSING"}}); !errors.Is(err, bus.ErrNotProvisioned) {
		t.Errorf("a stream that is not there: %v", err)
	}
}

// TestEachStreamsLeaderKilled kills the leader of every stream in turn, with
// SIGKILL, while records are written: what was acknowledged is there in the end,
// and so it is after all servers were killed at once and started again.
func TestEachStreamsLeaderKilled(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartProcesses(t, 3)
	r := rigOn(t, cluster.URL(), func(o *bus.ProvisionOptions) { o.Replicas, o.Regions = 3, []string{region} })
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var acknowledged []string
	submit := func(id string) {
		t.Helper()
		if _, err := r.Submit(ctx, backup(id)); err != nil {
			t.Fatal(err)
		}
		acknowledged = append(acknowledged, id)
	}
	streams := []string{messages.StreamJobs, messages.StreamEvents, messages.StreamDead, "KV_" + messages.BucketJobs, "KV_" + messages.BucketLeases}
	for n, stream := range streams {
		for i := range 5 {
			submit(fmt.Sprintf("%d-%d", n, i))
		}
		leader := cluster.StreamLeader(stream)
		cluster.Kill(leader)
		began := time.Now()
		submit(fmt.Sprintf("%d-after", n))
		t.Logf("%s lost its leader %s; the next job was acknowledged after %v", stream, leader, time.Since(began).Round(time.Millisecond))
		cluster.Restart(leader)
		cluster.Settle()
	}
	for _, name := range cluster.Names() {
		cluster.Kill(name)
	}
	restartAll(cluster)
	for _, id := range acknowledged {
		if _, err := r.Records().Get(ctx, id); err != nil {
			t.Errorf("record %s: %v", id, err)
		}
	}
	queued := 0
	eventually(t, "every message", func() bool {
		queued = 0
		err := r.Queued(ctx, func(bus.QueuedMessage) error { queued++; return nil })
		return err == nil && queued == len(acknowledged)
	})
}

// restartAll starts servers one by one, which do not wait for each other.
func restartAll(cluster *natstest.Cluster) {
	for _, name := range cluster.Names() {
		cluster.Restart(name)
	}
	cluster.Settle()
}
