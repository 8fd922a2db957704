package messages_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mahavishnu/messages"
)

var start = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

const lease = 30 * time.Second

func job(change func(*messages.Job)) messages.Job {
	j := messages.Job{
		Kind: messages.KindBackup, Region: "us-east-1",
		Envelope: messages.Envelope{ID: "j", MaxAttempts: 3}, Spec: &messages.BackupSpec{Source: "home"},
	}
	if change != nil {
		change(&j)
	}
	return j
}

// TestLifeScripts runs jobs through their lives and keeps what happened as
// text: the golden file is the state machine as a reviewer reads it.
func TestLifeScripts(t *testing.T) {
	var out strings.Builder
	for _, s := range []struct{ title, script string }{
		{"a job that succeeds", "claim a; beat 1; succeed 1; claim b; succeed 1; cancel"},
		{"a job that fails until it is dead", "claim a; retry 1 60; claim a; wait 60; claim a; retry 2 60; wait 60; claim b; retry 3 60; claim b"},
		{"a worker that is killed, and wakes up", "claim a; claim b; wait 31; claim b; beat 1; succeed 1; succeed 2"},
		{"workers that are killed until the job is dead", "claim a; wait 31; claim a; wait 31; claim a; wait 31; claim a; exhaust; claim a"},
		{"snoozed and interrupted attempts cost nothing", "claim a; snooze 1 10; claim a; wait 10; claim a; interrupt 2; claim b; interrupt 3; claim a; interrupt 4; claim b; succeed 5"},
		{"a failure that no retry can change, redriven", "claim a; fail 1; claim a; redrive; claim b; succeed 2; redrive"},
		{"a job cancelled while it waits", "cancel; claim a; redrive; claim a"},
		{"a job cancelled while it runs", "claim a; cancel; cancel; beat 1; cancelled 1; cancel"},
		{"a job whose worker dies or stops while it cancels", "claim a; cancel; wait 31; claim b; cancel; redrive; claim b; cancel; interrupt 2; redrive; claim a; cancel; retry 3 9"},
		{"a job cancelled while its worker is dead", "claim a; wait 31; cancel"},
		{"exhaust leaves a live attempt alone", "claim a; exhaust; wait 31; exhaust; exhaust"},
		{"nobody holds a queued job", "beat 0; succeed 0; retry 0 1; redrive"},
	} {
		fmt.Fprintf(&out, "# %s\n", s.title)
		r, now := messages.NewRecord(job(nil), start), start
		for line := range strings.SplitSeq(s.script, "; ") {
			var err error
			r, now, err = play(t, r, now, line)
			fmt.Fprintf(&out, "%-14s %-10s attempt %d, spent %d", line, r.State, r.Attempt, r.Spent)
			if err != nil {
				fmt.Fprintf(&out, " | %v", err)
			}
			out.WriteByte('\n')
		}
		for _, h := range r.History {
			fmt.Fprintf(&out, "    %s %s %d %s %s\n", h.At.Format("15:04:05"), h.State, h.Attempt, h.Worker, h.Note)
		}
	}
	golden(t, "lives.txt", []byte(out.String()))
}

func play(t *testing.T, r messages.Record, now time.Time, line string) (messages.Record, time.Time, error) {
	t.Helper()
	f := strings.Fields(line)
	number := func(i int) (n int64) {
		if _, err := fmt.Sscan(f[i], &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	seconds := func(i int) time.Time { return now.Add(time.Duration(number(i)) * time.Second) }
	var err error
	switch f[0] {
	case "wait":
		return r, seconds(1), nil
	case "claim":
		r, err = r.Claim(f[1], now, lease)
	case "beat":
		r, err = r.Heartbeat(uint64(number(1)), now, lease, messages.Beat{Cursor: json.RawMessage(`"here"`)})
	case "succeed":
		r, err = r.Succeed(uint64(number(1)), now, nil)
	case "retry":
		r, err = r.Retry(uint64(number(1)), now, seconds(2), messages.Failure{Error: "disk full"})
	case "snooze":
		r, err = r.Snooze(uint64(number(1)), now, seconds(2), "source is locked")
	case "interrupt":
		r, err = r.Interrupt(uint64(number(1)), now, "worker stops")
	case "fail":
		r, err = r.Fail(uint64(number(1)), now, messages.Failure{Error: "no such source"}, nil)
	case "exhaust":
		r, err = r.Exhaust(now, "no attempts left")
	case "cancel":
		r, err = r.RequestCancel(now, "me", "not needed")
	case "cancelled":
		r, err = r.Cancelled(uint64(number(1)), now)
	case "redrive":
		r, err = r.Redrive(now, "again")
	default:
		t.Fatalf("no such step %q", line)
	}
	return r, now, err
}

func TestClaimTellsWhenToTryAgain(t *testing.T) {
	due := start.Add(time.Hour)
	waiting := messages.NewRecord(job(func(j *messages.Job) { j.NotBefore = due }), start)
	running, err := messages.NewRecord(job(nil), start).Claim("w", start, lease)
	if err != nil {
		t.Fatal(err)
	}
	expired := messages.NewRecord(job(func(j *messages.Job) { j.Deadline = start }), start)
	for name, c := range map[string]struct {
		r       messages.Record
		err     error
		retryAt time.Time
	}{
		"not due": {waiting, messages.ErrNotDue, due},
		"held":    {running, messages.ErrHeld, start.Add(lease)},
		"expired": {expired, messages.ErrExpired, time.Time{}},
	} {
		_, err := c.r.Claim("x", start, lease)
		var refused *messages.NotClaimableError
		if !errors.As(err, &refused) || !errors.Is(err, c.err) || !refused.RetryAt.Equal(c.retryAt) {
			t.Errorf("%s: %v, want %v until %v", name, err, c.err, c.retryAt)
		}
	}
}

func TestRetryPastTheDeadlineIsDeath(t *testing.T) {
	r, err := messages.NewRecord(job(func(j *messages.Job) { j.Deadline = start.Add(time.Minute) }), start).Claim("w", start, lease)
	if err != nil {
		t.Fatal(err)
	}
	r, err = r.Retry(1, start, start.Add(time.Minute), messages.Failure{Error: "x", Stack: "s"})
	if err != nil || r.State != messages.StateDead || r.Stack != "s" {
		t.Fatalf("%+v, %v", r, err)
	}
	r, err = r.Redrive(start.Add(time.Hour), "again")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Claim("w", start.Add(time.Hour), lease); err != nil {
		t.Errorf("a redriven job dies of its old deadline again: %v", err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	r := messages.NewRecord(job(nil), start)
	for i := range uint64(messages.HistoryLimit * 2) {
		claimed, err := r.Claim("w", start, lease)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = claimed.Interrupt(i+1, start, ""); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.History) != messages.HistoryLimit || r.History[len(r.History)-1].State != messages.StateQueued {
		t.Errorf("history of %d steps ends with %+v", len(r.History), r.History[len(r.History)-1])
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, k := range messages.Kinds() {
		j := job(func(j *messages.Job) { j.Kind, j.Spec = k, messages.NewSpec(k) })
		r, err := messages.NewRecord(j, start).Claim("w", start, lease)
		if err != nil {
			t.Fatal(err)
		}
		r.Progress = &messages.Progress{At: start, Files: 3, Bytes: 4}
		r.Cursor = json.RawMessage(`{"path":"x"}`)
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := messages.DecodeRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k, diff)
		}
	}
}

func TestDecodeRecordNamesWhatIsWrong(t *testing.T) {
	for data, want := range map[string]string{
		`{`: "unexpected end",
		`{"job":{"kind":"backup","id":"j","spec":{}},"state":"sleeping"}`: `state "sleeping" is not known`,
		`{"job":{"kind":"bakup","id":"j","spec":{}},"state":"queued"}`:    `kind "bakup" is not known`,
		`{"job":{"kind":"backup","id":"a b","spec":{}},"state":"queued"}`: `"a b" is not a job id`,
	} {
		if _, err := messages.DecodeRecord([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", data, err, want)
		}
	}
}

// TestRecordModel drives a record with random steps of several workers, some
// of which act long after they lost it, and checks what must always hold.
func TestRecordModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, outcomes := start, 0
		r := messages.NewRecord(job(nil), now)
		holders := map[uint64]bool{} // attempts that some worker believes to hold
		apply := func(next messages.Record, err error) bool {
			if err != nil {
				if diff := cmp.Diff(r, next); diff != "" {
					t.Fatalf("a refused step changed the record: %s", diff)
				}
				return false
			}
			if next.Attempt < r.Attempt {
				t.Fatalf("attempt went from %d to %d", r.Attempt, next.Attempt)
			}
			if r.State.Final() && next.State != messages.StateQueued {
				t.Fatalf("%s became %s without a redrive", r.State, next.State)
			}
			if r.State == messages.StateSucceeded {
				t.Fatalf("a job that succeeded became %s", next.State)
			}
			if (next.State == messages.StateRunning) != !next.LeaseUntil.IsZero() {
				t.Fatalf("%s with lease %v", next.State, next.LeaseUntil)
			}
			if next.Spent > 3 {
				t.Fatalf("%d attempts spent of 3", next.Spent)
			}
			r = next
			return true
		}
		attempt := func() uint64 { return rapid.Uint64Range(0, r.Attempt+1).Draw(t, "attempt") }
		ended := func(a uint64, ok bool) {
			if !ok {
				return
			}
			if !holders[a] {
				t.Fatalf("attempt %d ended without a claim", a)
			}
			delete(holders, a)
		}
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(*rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
			},
			"claim": func(*rapid.T) {
				live := r.State == messages.StateRunning && now.Before(r.LeaseUntil)
				if apply(r.Claim("w", now, lease)) {
					if live {
						t.Fatal("claimed under a live lease")
					}
					holders = map[uint64]bool{r.Attempt: true}
				}
			},
			"beat": func(*rapid.T) { apply(r.Heartbeat(attempt(), now, lease, messages.Beat{})) },
			"succeed": func(*rapid.T) {
				a := attempt()
				ok := apply(r.Succeed(a, now, nil))
				if ended(a, ok); ok {
					if outcomes++; outcomes > 1 {
						t.Fatal("succeeded twice")
					}
				}
			},
			"retry": func(*rapid.T) {
				a := attempt()
				ended(a, apply(r.Retry(a, now, now.Add(time.Minute), messages.Failure{Error: "x"})))
			},
			"snooze":    func(*rapid.T) { a := attempt(); ended(a, apply(r.Snooze(a, now, now.Add(time.Minute), "x"))) },
			"interrupt": func(*rapid.T) { a := attempt(); ended(a, apply(r.Interrupt(a, now, "x"))) },
			"fail":      func(*rapid.T) { a := attempt(); ended(a, apply(r.Fail(a, now, messages.Failure{Error: "x"}, nil))) },
			"cancelled": func(*rapid.T) { a := attempt(); ended(a, apply(r.Cancelled(a, now))) },
			"cancel":    func(*rapid.T) { apply(r.RequestCancel(now, "me", "x")) },
			"exhaust":   func(*rapid.T) { apply(r.Exhaust(now, "x")) },
			"redrive":   func(*rapid.T) { apply(r.Redrive(now, "x")) },
		})
	})
}

func FuzzDecodeRecord(f *testing.F) {
	data, err := messages.NewRecord(job(nil), start).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"job":{"kind":"backup"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := messages.DecodeRecord(data)
		if err != nil {
			return
		}
		if _, err := r.Encode(); err != nil {
			t.Fatalf("a record that was read cannot be written: %v", err)
		}
		r.Claim("w", start, lease) //nolint:errcheck // it must not panic
	})
}
