package bus_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// work does what a worker does with messages it cannot run, until n are buried.
func (r *rig) work(t *testing.T, n int) {
	t.Helper()
	p := r.puller(t, bus.PullOptions{})
	for range n {
		d := next(t, p)
		_, err := d.Job()
		var refused *messages.RefusedError
		if !errors.As(err, &refused) {
			t.Fatalf("%s %.50q was not refused: %v", d.Subject, d.Data, err)
		}
		if err := d.Bury(t.Context(), messages.DeadRefused, refused.Error(), "", 0); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatPeopleGetWrongEndsAsASentence sends what people send by mistake the
// way `nats pub -J` sends it. Everything ends in DR_DEAD, nothing is lost.
func TestWhatPeopleGetWrongEndsAsASentence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	backups := "dr.jobs.backup." + region
	junk := strings.Repeat("\x00\xff junk", 2<<20/7)
	cases := []struct {
		name, subject, payload, want string
		routed                       bool
	}{
		{"misspelt field", backups, `{"sorce":"home"}`, `did you mean "source"?`, true},
		{"wrong type", backups, `{"source":["home"]}`, `wants a string, not a list`, true},
		{"broken JSON", backups, `{"source":"home"`, `unexpected end of JSON input (line 1, column 16)`, true},
		{"junk", backups, junk, `a job may have at most 1048576`, true},
		{"template", backups, `{"source":"{{template}}"}`, `--no-templates`, true},
		{"wrong kind", "dr.jobs.bakup." + region, `{"source":"home"}`, `did you mean "backup"?`, false},
		{"wrong region", "dr.jobs.backup.us-esat-1", `{"source":"home"}`, `did you mean "us-east-1"?`, false},
		{"no region", "dr.jobs.backup", `{"source":"home"}`, `dr.jobs.KIND.REGION`, false},
		{"too many tokens", backups + ".x", `{"source":"home"}`, `dr.jobs.KIND.REGION`, false},
	}
	routed := 0
	for _, c := range cases {
		r.publish(t, c.subject, c.payload)
		if c.routed {
			routed++
		}
	}
	r.work(t, routed)
	swept, err := r.Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(swept) != len(cases)-routed {
		t.Errorf("swept %d messages, want %d", len(swept), len(cases)-routed)
	}
	letters, err := r.Dead().List(t.Context(), bus.DeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		i := slices.IndexFunc(letters, func(l messages.DeadLetter) bool {
			return l.Subject == c.subject && strings.Contains(l.Reason, c.want)
		})
		if i < 0 {
			t.Errorf("%s: no letter tells %q", c.name, c.want)
			continue
		}
		l := letters[i]
		if l.Size != len(c.payload) || l.Truncated != (len(c.payload) > messages.MaxDeadPayload) || !bytes.HasPrefix([]byte(c.payload), l.Payload) {
			t.Errorf("%s: the letter keeps %d of %d bytes, truncated %v", c.name, len(l.Payload), l.Size, l.Truncated)
		}
		if l.MessageSequence == 0 || l.Time.IsZero() || l.Sequence == 0 {
			t.Errorf("%s: %+v lacks something", c.name, l)
		}
	}
	if len(letters) != len(cases) {
		t.Errorf("%d letters for %d messages", len(letters), len(cases))
	}
	if n := queued(t, r); n != 0 {
		t.Errorf("%d messages are left in the queue", n)
	}
	if again, err := r.Sweep(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("a second sweep found %v, %v", again, err)
	}
}

func TestSweepLeavesCoveredSubjectsAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 3 {
		r.publish(t, "dr.jobs.verify.eu-west-1", "{}")
		r.publish(t, "dr.jobs.verify.mars", "{}")
	}
	swept, err := r.Sweep(t.Context())
	if err != nil || len(swept) != 3 {
		t.Fatalf("swept %d, %v", len(swept), err)
	}
	if n := queued(t, r); n != 3 {
		t.Errorf("%d messages are left, want the 3 that a worker will take", n)
	}
}

// foreign takes a backup off the queue as a worker does that is not of this program, and
// may terminate it: the queue is open to others.
func foreign(t *testing.T, r *rig) jetstream.Msg {
	t.Helper()
	c, err := r.js.Consumer(t.Context(), messages.StreamJobs, messages.ConsumerName(messages.KindBackup, region))
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next(jetstream.FetchMaxWait(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestDroppedMessagesAreNoDeadLetters deletes a message that a worker holds,
// beside one that a worker gives up.
func TestDroppedMessagesAreNoDeadLetters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.puller(t, bus.PullOptions{})
	for range 2 {
		r.publish(t, "dr.jobs.backup."+region, `{"source":"home"}`)
	}
	given, dropped := foreign(t, r), next(t, p)
	meta, err := given.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Drop(t.Context(), dropped.Sequence); err != nil {
		t.Fatal(err)
	}
	if err := given.TermWithReason("by hand"); err != nil {
		t.Fatal(err)
	}
	letters := func() []messages.DeadLetter {
		all, err := r.Dead().List(t.Context(), bus.DeadFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for end := time.Now().Add(30 * time.Second); len(letters()) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the server told only of %+v", letters())
		}
	}
	if _, err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := letters(); len(left) != 1 || left[0].MessageSequence != meta.Sequence.Stream {
		t.Errorf("letters after the sweep: %+v", left)
	}
}

func TestBuryTwiceIsOneLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(t, "dr.jobs.backup."+region, "{")
	d := next(t, r.puller(t, bus.PullOptions{}))
	for range 2 {
		if err := d.Bury(t.Context(), messages.DeadRefused, "no", "", 0); err != nil {
			t.Fatal(err)
		}
	}
	letters, err := r.Dead().List(t.Context(), bus.DeadFilter{})
	if err != nil || len(letters) != 1 {
		t.Errorf("%d letters, %v", len(letters), err)
	}
}

func TestRedriveOfARefusedMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(t, "dr.jobs.backup."+region, `{"sorce":"home"}`)
	r.work(t, 1)
	dead := r.Dead()
	letters, err := dead.List(t.Context(), bus.DeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	n := letters[0].Sequence
	var refused *messages.RefusedError
	if _, err := dead.Redrive(t.Context(), n, bus.Edit{}); !errors.As(err, &refused) {
		t.Fatalf("redrive of what is still wrong: %v, want a RefusedError", err)
	}
	got, err := dead.Redrive(t.Context(), n, bus.Edit{Payload: []byte(`{"source":"home"}`)})
	if err != nil || !got.New {
		t.Fatalf("Redrive = %+v, %v", got, err)
	}
	if _, err := dead.Get(t.Context(), n); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("the letter is still there: %v", err)
	}
	job, err := next(t, r.puller(t, bus.PullOptions{})).Job()
	if err != nil || job.ID != got.ID {
		t.Errorf("delivered %+v, %v", job, err)
	}
}

func TestRedriveOfAnExhaustedJobKeepsItsRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.Submit(t.Context(), backup("x")); err != nil {
		t.Fatal(err)
	}
	d := next(t, r.puller(t, bus.PullOptions{}))
	e, err := r.Records().Change(t.Context(), "x", func(rec messages.Record) (messages.Record, error) {
		rec, err := rec.Claim("w", time.Now(), time.Minute)
		if err != nil {
			return rec, err
		}
		return rec.Fail(rec.Attempt, time.Now(), messages.Failure{Error: "no such disk"}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Bury(t.Context(), messages.DeadFailed, e.Error, "x", e.Attempt); err != nil {
		t.Fatal(err)
	}
	letters, err := r.Dead().List(t.Context(), bus.DeadFilter{Job: "x", Kind: "backup", Region: region, Limit: 5})
	if err != nil || len(letters) != 1 || letters[0].Attempts != 1 {
		t.Fatalf("letters %+v, %v", letters, err)
	}
	got, err := r.Dead().Redrive(t.Context(), letters[0].Sequence, bus.Edit{})
	if err != nil || got.ID != "x" || got.New {
		t.Fatalf("Redrive = %+v, %v", got, err)
	}
	e, err = r.Records().Get(t.Context(), "x")
	if err != nil || e.State != messages.StateQueued || e.Attempt != 1 || e.Spent != 0 {
		t.Errorf("record %+v, %v", e.Record, err)
	}
	if n := queued(t, r); n != 1 {
		t.Errorf("%d messages wait, want 1", n)
	}
	if left, err := r.Dead().List(t.Context(), bus.DeadFilter{}); err != nil || len(left) != 0 {
		t.Errorf("letters left: %+v, %v", left, err)
	}
	told := 0
	count := func(bus.EventMessage) error { told++; return nil }
	if err := r.ReadEvents(t.Context(), bus.EventFilter{Outcome: messages.OutcomeRedriven, Job: "x"}, count); err != nil || told != 1 {
		t.Errorf("%d events tell of the redrive, %v", told, err)
	}
}

// dead makes a letter of a job whose deadline passed, and of its record.
func (r *rig) dead(t *testing.T, payload string) messages.DeadLetter {
	t.Helper()
	r.publish(t, "dr.jobs.backup."+region, payload)
	d := next(t, r.puller(t, bus.PullOptions{}))
	job, err := d.Job()
	if err != nil {
		t.Fatal(err)
	}
	rec, err := messages.NewRecord(job, d.Stored).Exhaust(time.Now(), "too late")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Records().Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if err := d.Bury(t.Context(), messages.DeadExhausted, "too late", job.ID, 0); err != nil {
		t.Fatal(err)
	}
	letters, err := r.Dead().List(t.Context(), bus.DeadFilter{Job: job.ID})
	if err != nil || len(letters) != 1 {
		t.Fatalf("letters %+v, %v", letters, err)
	}
	return letters[0]
}

func TestRedriveTakesAllOfACorrectedPayload(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.dead(t, `{"source":"home","id":"x","deadline":"2020-01-01T00:00:00Z"}`)
	edit := bus.Edit{Payload: []byte(`{"source":"home","deadline":"2120-01-01T00:00:00Z","max_attempts":7,"labels":{"a":"b"}}`)}
	if got, err := r.Dead().Redrive(t.Context(), l.Sequence, edit); err != nil || got.ID != "x" {
		t.Fatalf("Redrive = %+v, %v", got, err)
	}
	e, err := r.Records().Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if job := e.Job; job.ID != "x" || job.Deadline.Year() != 2120 || job.MaxAttempts != 7 || job.Labels["a"] != "b" {
		t.Errorf("the record's job is %+v", job)
	}
	if e.State != messages.StateQueued || e.Error != "" {
		t.Errorf("the record is %s, error %q", e.State, e.Error)
	}
}

func TestReviveTakesTheLettersAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.dead(t, `{"source":"home","id":"x"}`)
	r.dead(t, `{"source":"home","id":"other"}`)
	if e, err := r.Revive(t.Context(), "x", "mended"); err != nil || e.State != messages.StateQueued {
		t.Fatalf("Revive = %s, %v", e.State, err)
	}
	letters, err := r.Dead().List(t.Context(), bus.DeadFilter{})
	if err != nil || len(letters) != 1 || letters[0].Job != "other" {
		t.Errorf("letters left: %+v, %v", letters, err)
	}
	job, err := next(t, r.puller(t, bus.PullOptions{})).Job()
	if err != nil || job.ID != "x" {
		t.Errorf("delivered %+v, %v", job, err)
	}
	if _, err := r.Revive(t.Context(), "x", ""); !errors.Is(err, messages.ErrNotFinal) {
		t.Errorf("revived while it waits: %v", err)
	}
}

func TestRedriveNeedsAWholePayload(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(t, "dr.jobs.backup."+region, strings.Repeat("x", messages.MaxPayload+1))
	r.work(t, 1)
	letters, err := r.Dead().List(t.Context(), bus.DeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Dead().Redrive(t.Context(), letters[0].Sequence, bus.Edit{}); err == nil || !strings.Contains(err.Error(), "first 65536 of 1048577") {
		t.Errorf("redrive of a truncated payload: %v", err)
	}
	if _, err := r.Dead().Redrive(t.Context(), 999, bus.Edit{}); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("redrive of nothing: %v", err)
	}
}

// TestAdvisoriesBecomeLetters lets the server itself give up two messages.
func TestAdvisoriesBecomeLetters(t *testing.T) {
	t.Parallel()
	r := newRig(t, ackWait(time.Second))
	r.publish(t, "dr.jobs.backup."+region, `{"source":"home"}`)
	if err := foreign(t, r).TermWithReason("by hand"); err != nil {
		t.Fatal(err)
	}
	// Somebody breaks the rule that consumers deliver for ever.
	name := messages.ConsumerName(messages.KindVerify, region)
	c, err := r.js.Consumer(t.Context(), messages.StreamJobs, name)
	if err != nil {
		t.Fatal(err)
	}
	config := c.CachedInfo().Config
	config.MaxDeliver = 1
	if _, err := r.js.UpdateConsumer(t.Context(), messages.StreamJobs, config); err != nil {
		t.Fatal(err)
	}
	r.publish(t, "dr.jobs.verify."+region, `{"read_data":5}`)
	d := next(t, r.puller(t, bus.PullOptions{Kinds: []messages.Kind{messages.KindVerify}}))
	if err := d.HandBack(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	var letters []messages.DeadLetter
	eventually(t, "two letters", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		c, err := r.js.Consumer(ctx, messages.StreamJobs, name)
		if err == nil { // a pull makes the server look at what is due
			c.Fetch(1, jetstream.FetchMaxWait(100*time.Millisecond))
		}
		letters, err = r.Dead().List(t.Context(), bus.DeadFilter{})
		return err == nil && len(letters) == 2
	})
	if l := letters[0]; l.Cause != messages.DeadTerminated || !strings.Contains(l.Reason, "by hand") || l.Subject != "dr.jobs.backup."+region {
		t.Errorf("terminated letter %+v", l)
	}
	l, err := r.Dead().Get(t.Context(), letters[1].Sequence)
	if err != nil || l.Cause != messages.DeadMaxDeliveries || string(l.Payload) != `{"read_data":5}` {
		t.Fatalf("letter of a given-up message %+v, %v", l, err)
	}
	got, err := r.Dead().Redrive(t.Context(), l.Sequence, bus.Edit{})
	if err != nil || !got.New {
		t.Fatalf("Redrive = %+v, %v", got, err)
	}
	if n := queued(t, r); n != 1 {
		t.Errorf("%d messages in the queue, want the new one alone", n)
	}
	if n, err := r.Dead().Purge(t.Context(), bus.DeadFilter{}); err != nil || n != 1 {
		t.Errorf("purged %d, %v", n, err)
	}
}
