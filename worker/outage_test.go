package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// connect binds to a server, after creating what is missing.
func connect(t testing.TB, url string, o bus.ProvisionOptions) *bus.Bus {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	o.Regions = []string{region, "eu-west-1"}
	if err := bus.Provision(t.Context(), conn, o); err != nil {
		t.Fatal(err)
	}
	b, err := bus.Bind(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHeartbeatsKeepALongJob lets a job run for several leases beside an idle
// worker that would take it.
func TestHeartbeatsKeepALongJob(t *testing.T) {
	t.Parallel()
	const ackWait = 1500 * time.Millisecond
	r := newRig(t, ackWait)
	for _, node := range []string{"node1", "node2"} {
		r.start(Options{Node: node, Slots: 1, Handlers: backups(func(ctx context.Context, _ *Task) (any, error) {
			select {
			case <-time.After(3 * ackWait):
				return nil, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})})
	}
	id := r.submit("home")
	e := r.await(id, messages.StateSucceeded)
	r.empty()
	if e.Attempt != 1 {
		t.Errorf("history %v", history(e.Record))
	}
}

// TestLostQueueEndsTheAttempt takes the server away for longer than a lease:
// the handler is told, nothing is published, and the job runs again when the
// server is back.
func TestLostQueueEndsTheAttempt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := natstest.StartIn(t, dir, -1)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, url: server.ClientURL(), Bus: connect(t, server.ClientURL(), bus.ProvisionOptions{AckWait: 2 * time.Second})}
	causes, fences := make(chan error, 1), make(chan error, 1)
	r.start(Options{Slots: 1, Handlers: backups(func(ctx context.Context, task *Task) (any, error) {
		if task.Attempt > 1 {
			return nil, nil
		}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		fences <- task.Fence(context.WithoutCancel(ctx))
		return "done all the same", nil
	})})
	id := r.submit("home")
	r.await(id, messages.StateRunning)
	if err := server.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if cause := <-causes; !errors.Is(cause, ErrLeaseLost) {
		t.Errorf("the context ended with %v", cause)
	}
	if err := <-fences; !errors.Is(err, ErrLeaseLost) {
		t.Errorf("the fence said %v", err)
	}
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		t.Fatal(err)
	}
	natstest.StartIn(t, dir, n)
	e := r.await(id, messages.StateSucceeded)
	r.empty()
	if e.Attempt != 2 || e.Result != nil {
		t.Errorf("attempt %d, result %s", e.Attempt, e.Result)
	}
	if got := strings.Join(r.events(id), " "); got != "started/1 started/2 succeeded/2" {
		t.Errorf("events %s", got)
	}
}

// TestJobOutlivesTheLeaderOfItsRecord kills, of three servers, the one that
// leads the job records while a job runs. An election takes 4 to 9 seconds, so
// the claim must survive missed heartbeats.
func TestJobOutlivesTheLeaderOfItsRecord(t *testing.T) {
	t.Parallel()
	c := natstest.StartProcesses(t, 3)
	r := &rig{TB: t, url: c.URL(), Bus: connect(t, c.URL(), bus.ProvisionOptions{AckWait: 24 * time.Second, Replicas: 3})}
	release := make(chan struct{})
	r.start(Options{Slots: 1, Handlers: backups(func(ctx context.Context, task *Task) (any, error) {
		select {
		case <-release:
			return nil, task.Fence(ctx)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})})
	id := r.submit("home")
	r.await(id, messages.StateRunning)
	c.Kill(c.StreamLeader("KV_" + messages.BucketJobs))
	killed := time.Now()
	r.eventually("the record is renewed by the new leader", func() bool { return r.record(id).Updated.After(killed) })
	close(release)
	e := r.await(id, messages.StateSucceeded)
	r.empty()
	if e.Attempt != 1 {
		t.Errorf("history %v", history(e.Record))
	}
	if got := strings.Join(r.events(id), " "); got != "started/1 succeeded/1" {
		t.Errorf("events %s", got)
	}
}

// TestPullingStartsOver deletes a worker's consumer and makes it anew.
func TestPullingStartsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	r.start(Options{Slots: 2, Handlers: backups(func(context.Context, *Task) (any, error) { return nil, nil })})
	r.await(r.submit("home"), messages.StateSucceeded)
	r.empty()
	r.ask("$JS.API.CONSUMER.DELETE." + messages.StreamJobs + "." + messages.ConsumerName(messages.KindBackup, region))
	connect(t, r.url, bus.ProvisionOptions{AckWait: 3 * time.Second})
	r.await(r.submit("home"), messages.StateSucceeded)
}

// ask sends a request in the bare protocol and waits for the answer.
func (r *rig) ask(subject string) {
	r.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.url, "nats://"))
	if err != nil {
		r.Fatal(err)
	}
	defer nc.Close()
	if _, err := fmt.Fprintf(nc, "CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB %s answer 0\r\n\r\n", subject); err != nil {
		r.Fatal(err)
	}
	for in := bufio.NewScanner(nc); in.Scan(); {
		if line := in.Text(); strings.HasPrefix(line, "{") {
			if strings.Contains(line, `"error"`) {
				r.Fatal(line)
			}
			return
		}
	}
	r.Fatal("no answer")
}
