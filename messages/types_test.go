package messages_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
)

func TestEventsOfOneOutcomeAreOne(t *testing.T) {
	r, err := messages.NewRecord(job(nil), start).Claim("w", start, lease)
	if err != nil {
		t.Fatal(err)
	}
	one, two := messages.NewEvent(r, messages.OutcomeStarted, start), messages.NewEvent(r, messages.OutcomeStarted, start.Add(time.Second))
	if one.ID != two.ID || one.Subject() != "dr.events.backup.started.us-east-1" || one.Source != "home" {
		t.Errorf("%+v", one)
	}
	data, err := json.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	got, err := messages.DecodeEvent(data)
	if diff := cmp.Diff(one, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestDeadLetterKeepsABoundedPayload(t *testing.T) {
	d := messages.NewDeadLetter(messages.DeadRefused, "dr.jobs.bakup.us-east-1", make([]byte, messages.MaxDeadPayload+1), "no", start)
	if len(d.Payload) != messages.MaxDeadPayload || !d.Truncated || d.Size != messages.MaxDeadPayload+1 || d.DeadSubject() != "dr.dead.bakup.us-east-1" {
		t.Errorf("%d of %d bytes, truncated %v, on %s", len(d.Payload), d.Size, d.Truncated, d.DeadSubject())
	}
}

func TestAdvisories(t *testing.T) {
	for _, c := range []struct {
		data, subject, reason string
		cause                 messages.DeadCause
	}{
		{
			`{"type":"io.nats.jetstream.advisory.v1.max_deliver","timestamp":"2026-01-01T00:00:00Z","stream":"DR_JOBS","consumer":"jobs-restore_test-us-east-1","stream_seq":7,"deliveries":5}`,
			"dr.jobs.restore_test.us-east-1", "after 5 deliveries", messages.DeadMaxDeliveries,
		},
		{
			`{"type":"io.nats.jetstream.advisory.v1.terminated","stream":"DR_JOBS","consumer":"jobs-restore-any","stream_seq":7,"reason":"by hand"}`,
			"dr.jobs.restore.any", "by hand", messages.DeadTerminated,
		},
		{`{"type":"io.nats.jetstream.advisory.v1.terminated","consumer":"somebody's"}`, "", "somebody's", messages.DeadTerminated},
	} {
		d, err := messages.DecodeDeadLetter("$JS.EVENT.ADVISORY.CONSUMER.X", []byte(c.data))
		if err != nil || d.Subject != c.subject || d.Cause != c.cause || !strings.Contains(d.Reason, c.reason) {
			t.Errorf("%s: %+v, %v", c.data, d, err)
		}
	}
}

func TestLeaseTiming(t *testing.T) {
	for _, d := range []time.Duration{time.Second, 15 * time.Second, time.Hour} {
		if err := messages.TimingFor(d).Check(); err != nil {
			t.Errorf("TimingFor(%v): %v", d, err)
		}
	}
	for name, change := range map[string]func(*messages.LeaseTiming){
		"no renewals":               func(l *messages.LeaseTiming) { l.RenewEvery = 0 },
		"no missed renewal":         func(l *messages.LeaseTiming) { l.RenewEvery = l.RenewDeadline },
		"no margin":                 func(l *messages.LeaseTiming) { l.Margin = 0 },
		"stop time past the lease":  func(l *messages.LeaseTiming) { l.StopTime = l.Lease },
		"promotion within a lease":  func(l *messages.LeaseTiming) { l.Promotion = l.Lease },
		"negative stop time":        func(l *messages.LeaseTiming) { l.StopTime = -1 },
		"deadline past everything":  func(l *messages.LeaseTiming) { l.RenewDeadline = l.Promotion },
		"nothing set":               func(l *messages.LeaseTiming) { *l = messages.LeaseTiming{} },
		"exactly equal is not less": func(l *messages.LeaseTiming) { l.Lease = l.RenewDeadline + l.StopTime + l.Margin },
	} {
		timing := messages.TimingFor(10 * time.Second)
		change(&timing)
		if timing.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDecoders(f *testing.F) {
	f.Add("dr.dead.a.b", []byte(`{"cause":"refused","payload":"e30="}`))
	f.Add("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.DR_JOBS.jobs-backup-any", []byte(`{"stream_seq":1,"consumer":"jobs-backup-any"}`))
	f.Add("", []byte(`{"holder":"a","epoch":1,"deadline_ms":1,"nonce":"x","verb":"cancel","node":"n","job":"j"}`))
	f.Fuzz(func(_ *testing.T, subject string, data []byte) {
		messages.DecodeDeadLetter(subject, data) //nolint:errcheck // none of these may panic
		messages.DecodeEvent(data)               //nolint:errcheck
		messages.DecodeProgress(data)            //nolint:errcheck
		messages.DecodeHeartbeat(data)           //nolint:errcheck
		messages.DecodeControlRequest(data)      //nolint:errcheck
		messages.DecodeControlReply(data)        //nolint:errcheck
		messages.DecodeLease(data)               //nolint:errcheck
		messages.DecodeOpinionReport(data)       //nolint:errcheck
		messages.DecodeMemberCommand(data)       //nolint:errcheck
		messages.DecodeMemberReply(data)         //nolint:errcheck
		messages.DecodeCoordinatorStatus(data)   //nolint:errcheck
		messages.DecodeNodeRecord(data)          //nolint:errcheck
		messages.SplitJobSubject(subject)        //nolint:errcheck
	})
}

func BenchmarkParse(b *testing.B) {
	payload := []byte(`{"id":"nightly/20261123T020000Z","source":"home","type":"full","tags":["a","b"]}`)
	for b.Loop() {
		if _, err := messages.Parse("dr.jobs.backup.us-east-1", payload); err != nil {
			b.Fatal(err)
		}
	}
}
