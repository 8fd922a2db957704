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

// TestClusterLeaderKilledInMidJob kills the server that leads the job stream,
// with SIGKILL, while a worker holds one job and others wait: every job is
// claimed, committed and acknowledged exactly once all the same.
func TestClusterLeaderKilledInMidJob(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartProcesses(t, 3)
	r := rigOn(t, cluster.URL(), func(o *bus.ProvisionOptions) {
		o.Replicas = 3
		o.Regions = []string{region} // every consumer is a Raft group of its own
		o.AckWait = 5 * time.Second
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const jobs = 10
	for i := range jobs {
		if _, err := r.Submit(ctx, backup(fmt.Sprintf("j%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	p := r.puller(t, bus.PullOptions{Kinds: []messages.Kind{messages.KindBackup}})
	committed := map[string]int{}
	killed := false
	for len(committed) < jobs {
		d, err := p.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		job, err := d.Job()
		if err != nil {
			t.Fatal(err)
		}
		var attempt uint64
		_, err = r.Records().Change(ctx, job.ID, func(rec messages.Record) (messages.Record, error) {
			claimed, err := rec.Claim("w", time.Now(), time.Second)
			attempt = claimed.Attempt
			return claimed, err
		})
		if errors.Is(err, messages.ErrFinished) { // its ack died with the leader
			if err := d.Ack(ctx); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if errors.Is(err, messages.ErrHeld) {
			if err := d.HandBack(ctx, time.Second); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !killed {
			cluster.Kill(cluster.StreamLeader(messages.StreamJobs))
			killed = true
		}
		_, err = r.Records().Change(ctx, job.ID, func(rec messages.Record) (messages.Record, error) {
			return rec.Succeed(attempt, time.Now(), nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		committed[job.ID]++
		if err := d.Ack(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for id, n := range committed {
		if n != 1 {
			t.Errorf("job %s was committed %d times", id, n)
		}
	}
	eventually(t, "the queue to be empty", func() bool {
		info, err := r.Info(ctx)
		return err == nil && info.Messages == 0
	})
	if _, err := r.Submit(ctx, backup("after")); err != nil {
		t.Errorf("submitting with one server of three down: %v", err)
	}
}
