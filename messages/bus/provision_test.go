package bus_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

func TestProvisionIsAsSpecified(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, err := r.js.Stream(t.Context(), messages.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	if c.Retention != jetstream.WorkQueuePolicy || c.Discard != jetstream.DiscardNew || c.Storage != jetstream.FileStorage || c.MaxBytes <= 0 {
		t.Errorf("DR_JOBS: %+v", c)
	}
	if n := s.CachedInfo().State.Consumers; n != len(messages.Kinds())*3 {
		t.Errorf("%d consumers for two regions and any, want %d", n, len(messages.Kinds())*3)
	}
	consumer, err := s.Consumer(t.Context(), messages.ConsumerName(messages.KindBackup, region))
	if err != nil {
		t.Fatal(err)
	}
	cc := consumer.CachedInfo().Config
	if cc.AckWait != 30*time.Second || cc.MaxDeliver != -1 || len(cc.BackOff) != 0 || cc.AckPolicy != jetstream.AckExplicitPolicy || cc.MaxAckPending < 10_000 || cc.MaxWaiting < 10_000 {
		t.Errorf("consumer: %+v", cc)
	}
	audit, err := r.js.Stream(t.Context(), messages.StreamAudit)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.PublishAudit(t.Context(), "config", "1", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := audit.Purge(t.Context()); err == nil {
		t.Error("the audit stream was purged")
	}
	if err := audit.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("an audit entry was deleted")
	}
}

func TestProvisionAgainChangesNothingUnasked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := connect(t, r.url)
	o := bus.ProvisionOptions{Regions: []string{region, "eu-west-1"}, EventReaders: []string{"reader"}}
	if err := bus.Provision(t.Context(), c, o); err != nil {
		t.Fatalf("the same again: %v", err)
	}
	o.Regions = append(o.Regions, "ap-south-1")
	if err := bus.Provision(t.Context(), c, o); err != nil {
		t.Fatalf("one region more: %v", err)
	}
	o.AckWait, o.EventAge = time.Minute, time.Hour
	err := bus.Provision(t.Context(), c, o)
	var mismatch *bus.MismatchError
	if !errors.As(err, &mismatch) || len(fault.Hints(err)) == 0 {
		t.Fatalf("other settings: %v, want a MismatchError with a hint", err)
	}
	for _, want := range []string{"DR_EVENTS has max age 720h0m0s instead of 1h0m0s", "consumer jobs-backup-us-east-1 has ack wait 30s instead of 1m0s"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not tell %q", err, want)
		}
	}
	o.Update = true
	if err := bus.Provision(t.Context(), c, o); err != nil {
		t.Fatalf("update: %v", err)
	}
	o.Update = false
	if err := bus.Provision(t.Context(), c, o); err != nil {
		t.Errorf("after the update: %v", err)
	}
}

func TestProvisionRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := connect(t, r.url)
	for name, o := range map[string]bus.ProvisionOptions{
		"no region":     {},
		"region any":    {Regions: []string{"any"}},
		"region a.b":    {Regions: []string{"a.b"}},
		"reader a b":    {Regions: []string{region}, EventReaders: []string{"a b"}},
		"two replicas":  {Regions: []string{region}, Replicas: 2},
		"nine replicas": {Regions: []string{region}, Replicas: 9},
	} {
		if err := bus.Provision(t.Context(), c, o); err == nil {
			t.Errorf("%s: provisioned", name)
		}
	}
}
