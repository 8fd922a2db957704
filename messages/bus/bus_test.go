package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

const region = "us-east-1"

func TestMain(m *testing.M) {
	natstest.Main()
	goleak.VerifyTestMain(m)
}

// rig is a provisioned server with a bus, and a plain client beside it.
type rig struct {
	*bus.Bus
	url string
	raw *nats.Conn
	js  jetstream.JetStream
}

func newRig(t testing.TB, change ...func(*bus.ProvisionOptions)) *rig {
	t.Helper()
	return rigOn(t, natstest.Start(t).ClientURL(), change...)
}

func rigOn(t testing.TB, url string, change ...func(*bus.ProvisionOptions)) *rig {
	t.Helper()
	o := bus.ProvisionOptions{Regions: []string{region, "eu-west-1"}, EventReaders: []string{"reader"}}
	for _, c := range change {
		c(&o)
	}
	c := connect(t, url)
	if err := bus.Provision(t.Context(), c, o); err != nil {
		t.Fatal(err)
	}
	b, err := bus.Bind(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Bus: b, url: url}
	if r.raw, err = nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.raw.Close)
	if r.js, err = jetstream.New(r.raw); err != nil {
		t.Fatal(err)
	}
	return r
}

func connect(t testing.TB, url string) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Options{URL: url, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ackWait(d time.Duration) func(*bus.ProvisionOptions) {
	return func(o *bus.ProvisionOptions) { o.AckWait = d }
}

// publish does what `nats pub -J` does.
func (r *rig) publish(t testing.TB, subject, payload string) *jetstream.PubAck {
	t.Helper()
	ack, err := r.js.Publish(t.Context(), subject, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func (r *rig) puller(t testing.TB, o bus.PullOptions) *bus.Puller {
	t.Helper()
	if o.Region == "" {
		o.Region = region
	}
	p, err := r.Puller(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func next(t testing.TB, p *bus.Puller) *bus.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d, err := p.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func backup(id string) messages.Job {
	return messages.Job{
		Kind: messages.KindBackup, Region: region, Envelope: messages.Envelope{ID: id},
		Spec: &messages.BackupSpec{Source: "home"},
	}
}

// eventually polls until ok; the test's time limit is the only bound.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

func TestSubmitThenRunThenAck(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got, err := r.Submit(t.Context(), backup(""))
	if err != nil {
		t.Fatal(err)
	}
	if !got.New || !strings.HasPrefix(got.ID, "backup-") {
		t.Fatalf("Submit = %+v", got)
	}
	d := next(t, r.puller(t, bus.PullOptions{}))
	job, err := d.Job()
	if err != nil || job.ID != got.ID || job.Source() != "home" {
		t.Fatalf("delivered %+v, %v", job, err)
	}
	if d.AckWait() != 30*time.Second {
		t.Errorf("AckWait = %v", d.AckWait())
	}
	e, err := r.Records().Get(t.Context(), got.ID)
	if err != nil || e.State != messages.StateQueued {
		t.Fatalf("record %+v, %v", e, err)
	}
	for range 2 { // saying it twice is harmless
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	info, err := r.Info(t.Context())
	if err != nil || info.Messages != 0 {
		t.Fatalf("after the ack the queue holds %+v, %v", info, err)
	}
}

func TestSubmitIsIdempotentByID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, want := range []bool{true, false, false} {
		got, err := r.Submit(t.Context(), backup("slot/20260101T020000Z"))
		if err != nil || got.New != want {
			t.Fatalf("Submit %d = %+v, %v, want New %v", i, got, err, want)
		}
	}
	if n := queued(t, r); n != 1 {
		t.Errorf("%d messages wait, want 1", n)
	}
	other := backup("slot/20260101T020000Z")
	other.Spec = &messages.BackupSpec{Source: "mail"}
	if _, err := r.Submit(t.Context(), other); !errors.Is(err, bus.ErrDifferentJob) {
		t.Errorf("the same id for other work: %v, want ErrDifferentJob", err)
	}
	var refused *messages.RefusedError
	if _, err := r.Submit(t.Context(), messages.Job{Kind: "backup", Region: region, Spec: &messages.BackupSpec{}}); !errors.As(err, &refused) {
		t.Errorf("a job without its source: %v, want a RefusedError", err)
	}
}

func TestSubmitCompletesWhatWasInterrupted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.Records().Create(t.Context(), messages.NewRecord(backup("x"), time.Now())); err != nil {
		t.Fatal(err)
	}
	got, err := r.Submit(t.Context(), backup("x"))
	if err != nil || got.New {
		t.Fatalf("Submit = %+v, %v", got, err)
	}
	if n := queued(t, r); n != 1 {
		t.Errorf("%d messages wait, want the one that was missing", n)
	}
}

func TestWakeOncePerRevision(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e, err := r.Records().Create(t.Context(), messages.NewRecord(backup("x"), time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Wake(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if n := queued(t, r); n != 1 {
		t.Errorf("%d messages after two wake-ups of one revision, want 1", n)
	}
	if e, err = r.Records().Update(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if err := r.Wake(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if n := queued(t, r); n != 2 {
		t.Errorf("%d messages after a new revision, want 2", n)
	}
}

func TestQueuedNamesJobsAndDropRemoves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.Submit(t.Context(), backup("one")); err != nil {
		t.Fatal(err)
	}
	adhoc := r.publish(t, "dr.jobs.backup."+region, `{"source":"home"}`)
	r.publish(t, "dr.jobs.backup."+region, `{"id":"named","source":"home"}`)
	r.publish(t, "dr.jobs.bakup."+region, `{`)
	var ids []string
	var sequences []uint64
	err := r.Queued(t.Context(), func(q bus.QueuedMessage) error {
		ids = append(ids, q.Job)
		sequences = append(sequences, q.Sequence)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) != 4 || ids[0] != "one" || !strings.HasSuffix(ids[1], fmt.Sprintf("-%d", adhoc.Sequence)) || ids[2] != "named" || ids[3] != "" {
		t.Fatalf("queued jobs %q", ids)
	}
	for range 2 { // gone already is no error
		if err := r.Drop(t.Context(), sequences[0]); err != nil {
			t.Fatal(err)
		}
	}
	if n := queued(t, r); n != 3 {
		t.Errorf("%d messages after the drop, want 3", n)
	}
}

func TestQueuedReadsManyBatches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const n = 700
	for i := range n {
		if _, err := r.js.PublishAsync("dr.jobs.backup."+region, fmt.Appendf(nil, `{"id":"j%d","source":"home"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	<-r.js.PublishAsyncComplete()
	if got := queued(t, r); got != n {
		t.Errorf("read %d messages, want %d", got, n)
	}
}

func queued(t testing.TB, r *rig) int {
	t.Helper()
	n := 0
	if err := r.Queued(t.Context(), func(bus.QueuedMessage) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAdHocIDIsTheSameInEveryDelivery(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ack := r.publish(t, "dr.jobs.backup."+region, `{"source":"home"}`)
	p := r.puller(t, bus.PullOptions{})
	var ids []string
	for range 3 {
		d := next(t, p)
		job, err := d.Job()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.ID)
		if err := d.HandBack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] != ids[1] || ids[1] != ids[2] || !strings.HasSuffix(ids[0], fmt.Sprintf("Z-%d", ack.Sequence)) {
		t.Errorf("ids %q, want one that ends in the sequence %d", ids, ack.Sequence)
	}
}

func TestReplyReachesWhoAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sub, err := r.raw.SubscribeSync("my.answer")
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg("dr.jobs.verify." + region)
	m.Data = []byte("{}")
	m.Header.Set(messages.HeaderReplyTo, "my.answer")
	if _, err := r.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	d := next(t, r.puller(t, bus.PullOptions{}))
	if err := d.Reply(messages.ControlReply{OK: true, Message: "accepted"}); err != nil {
		t.Fatal(err)
	}
	got, err := sub.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var reply messages.ControlReply
	if err := json.Unmarshal(got.Data, &reply); err != nil || !reply.OK {
		t.Errorf("reply %s, %v", got.Data, err)
	}
	silent := &bus.Delivery{}
	if err := silent.Reply(1); err != nil {
		t.Errorf("a reply nobody asked for: %v", err)
	}
}

func TestConnectErrorsTellWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := bus.Connect(t.Context(), bus.Options{URL: "nats://user:secret@127.0.0.1:1"})
	if err == nil {
		t.Fatal("connected to nobody")
	}
	if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("error %q: want the address without the password", err)
	}
	for name, o := range map[string]bus.Options{
		"no address":     {},
		"two identities": {URL: "nats://127.0.0.1:1", User: "u", Token: "t"},
		"missing file":   {URL: "nats://127.0.0.1:1", CredsFile: "/nonexistent"},
		"missing seed":   {URL: "nats://127.0.0.1:1", NKeySeedFile: "/nonexistent"},
	} {
		if _, err := bus.Connect(t.Context(), o); err == nil {
			t.Errorf("%s: connected", name)
		}
	}
}

func TestInProcessConnection(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	c, err := bus.Connect(t.Context(), bus.Options{InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.RTT(); err != nil || !c.Connected() {
		t.Errorf("RTT: %v, connected %v", err, c.Connected())
	}
	if err := bus.Provision(t.Context(), c, bus.ProvisionOptions{Regions: []string{region}}); err != nil {
		t.Fatal(err)
	}
}

func TestReconnectsAndTellsSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := natstest.StartIn(t, dir, -1)
	url := s.ClientURL()
	var port int
	if _, err := fmt.Sscanf(url, "nats://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	notices := make(chan bus.Notice, 100)
	c, err := bus.Connect(t.Context(), bus.Options{URL: url, OnNotice: func(n bus.Notice) { notices <- n }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := bus.Provision(t.Context(), c, bus.ProvisionOptions{Regions: []string{region}}); err != nil {
		t.Fatal(err)
	}
	b, err := bus.Bind(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Puller(context.Background(), bus.PullOptions{Region: region})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	arrived := make(chan *bus.Delivery)
	go func() {
		d, err := p.Next(context.Background())
		if err != nil {
			t.Error(err)
		}
		arrived <- d
	}()
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if n := <-notices; n.Kind != bus.NoticeDisconnected {
		t.Errorf("first notice %+v, want disconnected", n)
	}
	// Submitting while the server is away waits for it.
	submitted := make(chan error)
	go func() {
		_, err := b.Submit(context.Background(), backup("patient"))
		submitted <- err
	}()
	natstest.StartIn(t, dir, port)
	if err := <-submitted; err != nil {
		t.Fatal(err)
	}
	d := <-arrived
	if job, err := d.Job(); err != nil || job.ID != "patient" {
		t.Errorf("after the reconnect came %+v, %v", job, err)
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := <-notices; n.Kind != bus.NoticeReconnected {
		t.Errorf("second notice %+v, want reconnected", n)
	}
}

func TestBindNeedsProvision(t *testing.T) {
	t.Parallel()
	c := connect(t, natstest.Start(t).ClientURL())
	_, err := bus.Bind(t.Context(), c)
	if !errors.Is(err, bus.ErrNotProvisioned) {
		t.Fatalf("Bind on an empty server: %v, want ErrNotProvisioned", err)
	}
	if hints := fault.Hints(err); len(hints) != 1 || !strings.HasPrefix(hints[0], "run `mahavishnu provision` once") {
		t.Errorf("its hints are %q", hints)
	}
}
