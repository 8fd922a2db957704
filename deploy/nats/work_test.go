package deploynats

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

const region = "us-east-1"

func job(id string) messages.Job {
	return messages.Job{Envelope: messages.Envelope{ID: id}, Kind: messages.KindBackup, Region: region, Spec: &messages.BackupSpec{Source: "home"}}
}

// runs takes one job as a worker does and finishes it.
func runs(t *testing.T, b *bus.Bus, node string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := b.Puller(ctx, bus.PullOptions{Kinds: []messages.Kind{messages.KindBackup}, Region: region})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	d, err := p.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	j, err := d.Job()
	if err != nil {
		t.Fatal(err)
	}
	change := func(fn func(messages.Record) (messages.Record, error)) bus.Entry {
		e, err := b.Records().Change(ctx, j.ID, fn)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := change(func(r messages.Record) (messages.Record, error) { return r.Claim(node, time.Now(), time.Minute) })
	if err := d.Extend(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.PublishProgress(messages.ProgressReport{Job: j.ID}); err != nil {
		t.Fatal(err)
	}
	e = change(func(r messages.Record) (messages.Record, error) { return r.Succeed(e.Attempt, time.Now(), nil) })
	if err := b.PublishEvent(ctx, messages.NewEvent(e.Record, messages.OutcomeSucceeded, time.Now())); err != nil {
		t.Fatal(err)
	}
	if err := d.Ack(ctx); err != nil {
		t.Fatal(err)
	}
	return j.ID
}

// TestRolesDoTheirWork lets each role do what it is for, with its rights alone.
func TestRolesDoTheirWork(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.one()
	s.provision(1, region)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	scheduler, worker, operator, coordinator := s.bind("scheduler"), s.bind("worker"), s.bind("operator"), s.bind("coordinator")

	// The scheduler finds everything there, and makes jobs.
	if err := bus.Provision(ctx, scheduler.Conn(), provisioned(1, region)); err != nil {
		t.Errorf("the scheduler at its start: %v", err)
	}
	for _, id := range []string{"j1", "j2"} {
		if _, err := scheduler.Submit(ctx, job(id)); err != nil {
			t.Fatal(err)
		}
	}
	if id := runs(t, worker, "w1"); id != "j1" {
		t.Errorf("the worker ran %s", id)
	}
	sign, err := worker.Signs().Show(ctx, "session.s1", "w1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if seen, err := scheduler.Signs().Seen(ctx, "session.s1"); err != nil || !seen {
		t.Errorf("the worker's sign of life: %v, %v", seen, err)
	}
	if err := sign.Release(ctx); err != nil {
		t.Error(err)
	}
	holds(t, worker, "lag."+region)
	holds(t, scheduler, "scheduler", "reconciler", "catalog")
	holds(t, coordinator, "coordinator", "service-orders")

	// The scheduler's other work.
	if _, err := scheduler.Sweep(ctx); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if _, err := scheduler.Info(ctx); err != nil {
		t.Errorf("measure the queue: %v", err)
	}
	queued := uint64(0)
	if err := scheduler.Queued(ctx, func(m bus.QueuedMessage) error { queued = m.Sequence; return nil }); err != nil || queued == 0 {
		t.Errorf("look at the queue: message %d, %v", queued, err)
	}
	if err := scheduler.Drop(ctx, queued); err != nil {
		t.Errorf("drop a message: %v", err)
	}
	heard := errors.New("heard")
	if err := scheduler.Events(ctx, "catalog", func(context.Context, bus.EventMessage) error { return heard }); !errors.Is(err, heard) {
		t.Errorf("read events: %v", err)
	}
	store, err := scheduler.Store(messages.BucketCatalog)
	if err == nil {
		_, err = store.Put(ctx, "s1", []byte("{}"))
	}
	if err == nil {
		err = store.Delete(ctx, "s1", 0)
	}
	if err != nil {
		t.Errorf("keep the catalog: %v", err)
	}

	// The operator sees, cancels and is answered.
	entries, err := operator.Records().List(ctx, bus.Filter{})
	if err != nil || len(entries) != 2 {
		t.Errorf("the operator sees %d records: %v", len(entries), err)
	}
	stop, err := worker.ServeJob("j2", func(messages.ControlRequest) messages.ControlReply { return messages.ControlReply{OK: true} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if reply, err := operator.ControlJob(ctx, messages.ControlRequest{Job: "j2", Verb: "cancel"}); err != nil || !reply.OK {
		t.Errorf("the operator asks a worker: %+v, %v", reply, err)
	}
	if letters, err := operator.Dead().List(ctx, bus.DeadFilter{}); err != nil || len(letters) != 0 {
		t.Errorf("the operator looks at dead letters: %d, %v", len(letters), err)
	}
	if err := operator.PublishAudit(ctx, "test", "a1", []byte("{}")); err != nil {
		t.Errorf("the operator leaves a trace: %v", err)
	}
	if _, err := operator.Leases().Get(ctx, "scheduler"); err != nil {
		t.Errorf("the operator looks who leads: %v", err)
	}

	// What the bus says of a right that is missing is what is missing.
	if _, err := worker.Submit(ctx, job("j3")); err == nil {
		t.Error("a worker made a job")
	}
	if err := bus.Provision(ctx, s.connect("scheduler", impatient), provisioned(1, region, "eu-west-1")); err == nil {
		t.Error("the scheduler made consumers")
	}
	if _, err := bus.Bind(ctx, s.connect("provisioner", impatient)); err != nil {
		t.Errorf("the provisioner looks at streams: %v", err)
	}
}

func impatient(o *bus.Options) { o.Patience = time.Millisecond }

// holds takes leases and gives them back.
func holds(t *testing.T, b *bus.Bus, names ...string) {
	t.Helper()
	for _, name := range names {
		l, err := b.Leases().Acquire(t.Context(), bus.LeaseOptions{Name: name, Holder: "n1"})
		if err != nil {
			t.Errorf("lease %s: %v", name, err)
			continue
		}
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("release lease %s: %v", name, err)
		}
	}
}

func TestOnlyTLS13AndKnownUsers(t *testing.T) {
	s := newSite(t)
	s.one()
	where := s.where[0]
	for what, options := range map[string][]nats.Option{
		"no TLS":           {nats.UserInfo("worker", s.passwords["worker"])},
		"TLS 1.2":          {nats.UserInfo("worker", s.passwords["worker"]), nats.Secure(&tls.Config{RootCAs: s.authority, MaxVersion: tls.VersionTLS12})},
		"an unknown user":  {nats.UserInfo("stranger", "x"), nats.Secure(&tls.Config{RootCAs: s.authority})},
		"a wrong password": {nats.UserInfo("worker", s.passwords["operator"]), nats.Secure(&tls.Config{RootCAs: s.authority})},
		"no user":          {nats.Secure(&tls.Config{RootCAs: s.authority})},
	} {
		nc, err := nats.Connect(strings.Replace(where, "tls://", "nats://", 1), options...)
		if err == nil {
			nc.Close()
			t.Errorf("%s was let in", what)
		}
	}
	s.connect("worker")
}

// TestThreeNodes kills each server once, and all of them at once.
func TestThreeNodes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	servers := s.three("three-nodes.conf", "n1", "n2", "n3")
	s.provision(3, region)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	b := s.bind("scheduler")
	var acknowledged []string
	submit := func(id string) {
		t.Helper()
		if _, err := b.Submit(ctx, job(id)); err != nil {
			t.Fatal(err)
		}
		acknowledged = append(acknowledged, id)
	}
	for i, victim := range servers {
		submit(fmt.Sprintf("before-%d", i))
		victim.Kill()
		began := time.Now()
		submit(fmt.Sprintf("after-%d", i))
		t.Logf("without %s the next job was acknowledged after %v", victim.Name, time.Since(began).Round(time.Millisecond))
		victim.Restart()
	}
	for _, victim := range servers {
		victim.Kill()
	}
	began := time.Now()
	for _, victim := range servers {
		victim.Restart()
	}
	submit("after-all")
	t.Logf("after all were killed the next job was acknowledged %v after the first start", time.Since(began).Round(time.Millisecond))
	for _, id := range acknowledged {
		if _, err := b.Records().Get(ctx, id); err != nil {
			t.Errorf("record %s: %v", id, err)
		}
	}

	// Whoever has no certificate of ours is no server of the cluster.
	for _, v := range servers[0].Env {
		if address, ok := strings.CutPrefix(v, "MAHAVISHNU_NATS_CLUSTER_LISTEN="); ok {
			stranger(t, s, address)
		}
	}
}

// stranger tries to be a server of the cluster without a certificate.
func stranger(t *testing.T, s *site, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // reading tells
	line := make([]byte, 4096)
	client := tls.Client(c, &tls.Config{RootCAs: s.authority, ServerName: "localhost"})
	if err = client.Handshake(); err == nil {
		_, err = client.Read(line) // TLS 1.3 tells of a missing certificate afterwards
	}
	if err == nil {
		t.Error("a server without a certificate was let into the cluster")
	}
}

// TestThreeRegions has a replica of each stream in each region, moves the leaders
// out of the active one with the coordinator's rights, and loses that region.
func TestThreeRegions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	servers := s.three("three-regions.conf", "us-east-1-1", "us-west-2-1", "eu-west-1-1")
	s.provision(3, "us-east-1", "us-west-2", "eu-west-1")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	coordinator := s.bind("coordinator")
	pinned, err := bus.Repin(ctx, coordinator.Conn(), bus.RepinOptions{Away: "us-east-1", Prefer: []string{"eu-west-1"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pinned {
		if p.Region != "us-west-2" && p.Region != "eu-west-1" {
			t.Errorf("%+v", p)
		}
	}
	t.Logf("leaders: %+v", pinned)
	servers[0].Kill()
	began := time.Now()
	holds(t, coordinator, "service-orders")
	t.Logf("a lease was taken %v after the active region was lost", time.Since(began).Round(time.Millisecond))

	// The worker of a region talks to its own server, which has no streams.
	control := len(s.where)
	leaf := s.server("us-west-2-leaf", "region-leaf.conf", natstest.FreePorts(t, 1)[0])
	natstest.StartConfigured(t, leaf)
	mine := s.where[control]
	s.where = s.where[:control]
	scheduler := s.bind("scheduler")
	if _, err := scheduler.Submit(ctx, job("far")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the region's own server says:\n%s", leaf.Log())
		}
	})
	far := func(o *bus.Options) { o.URL, o.Patience = mine, time.Minute }
	if id := runs(t, s.bind("worker", far), "w1"); id != "far" {
		t.Errorf("the worker ran %s", id)
	}
	if e, err := scheduler.Records().Get(ctx, "far"); err != nil || e.State != messages.StateSucceeded {
		t.Errorf("the record: %+v, %v", e, err)
	}
}
