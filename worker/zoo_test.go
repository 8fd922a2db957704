package worker

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mahavishnu/messages"
)

// knownSource refuses what no configuration would name.
func knownSource(job messages.Job) error {
	if s := job.Source(); s != "home" {
		return &messages.RefusedError{
			Reason: fmt.Sprintf("there is no source %q; the sources are home", s),
			Field:  "source", Suggestion: messages.Nearest(s, []string{"home"}),
		}
	}
	return nil
}

// TestBadMessagesEndDeadAndGoodOnesRun mixes everything people get wrong with
// jobs that are right.
func TestBadMessagesEndDeadAndGoodOnesRun(t *testing.T) {
	t.Parallel()
	zoo := []struct {
		name, subject string
		payload       []byte
		want          []string // parts of the sentence
	}{
		{"misspelt field", "dr.jobs.backup." + region, []byte(`{"source":"home","exlude":["*.o"]}`), []string{"exlude", `"exclude"`}},
		{"wrong kind", "dr.jobs.bakcup." + region, []byte(`{"source":"home"}`), []string{"bakcup", `"backup"`}},
		{"unknown region", "dr.jobs.backup.us-east-l", []byte(`{"source":"home"}`), []string{"us-east-l", `"us-east-1"`}},
		{"unknown source", "dr.jobs.backup." + region, []byte(`{"source":"hone"}`), []string{"hone", `"home"`}},
		{"wrong type", "dr.jobs.backup." + region, []byte(`{"source":7}`), []string{"source"}},
		{"broken JSON", "dr.jobs.backup." + region, []byte(`{"source":"home"`), []string{"line 1"}},
		{"2 MiB of junk", "dr.jobs.backup." + region, bytes.Repeat([]byte("junk"), 512<<10), []string{"2097152"}},
		{"binary", "dr.jobs.backup." + region, []byte("\x00\xff\xfe"), []string{"UTF-8"}},
		{"empty", "dr.jobs.backup." + region, nil, []string{"empty"}},
		{"template", "dr.jobs.backup." + region, []byte(`{"source":"{{.Source}}"}`), []string{"{{template}}", "--no-templates"}},
		{"no source", "dr.jobs.backup." + region, []byte(`{}`), []string{"source"}},
		{"a kind nobody does yet", "dr.jobs.drill." + region, []byte(`{"scenario":"x"}`), []string{"drill"}},
	}
	r := newRig(t, 3*time.Second)
	handlers := Handlers{messages.KindBackup: fake{check: knownSource, run: func(context.Context, *Task) (any, error) { return nil, nil }}}
	handlers[messages.KindDrill] = fake{
		check: func(messages.Job) error { return &messages.RefusedError{Reason: "drill jobs cannot be run yet"} },
		run:   func(context.Context, *Task) (any, error) { panic("refused jobs do not run") },
	}
	r.start(Options{Slots: 3, Handlers: handlers})
	reconciler := NewReconciler(ReconcilerOptions{Bus: r.Bus})

	var good []string
	for i, bad := range zoo {
		r.publish(bad.subject, "", bad.payload)
		id := fmt.Sprintf("good-%d", i)
		r.publish("dr.jobs.backup."+region, "", fmt.Appendf(nil, `{"id":%q,"source":"home"}`, id))
		good = append(good, id)
	}
	for _, id := range good {
		r.await(id, messages.StateSucceeded)
		if got, want := strings.Join(r.events(id), " "), "accepted/1 started/1 succeeded/1"; got != want {
			t.Errorf("events of %s: %s, want %s", id, got, want)
		}
	}
	r.eventually("every bad message is among the dead", func() bool {
		if _, err := reconciler.Sweep(t.Context()); err != nil { // it finds those on subjects nobody reads
			t.Fatal(err)
		}
		return len(r.letters()) == len(zoo)
	})
	r.empty()

	letters := r.letters()
	for _, bad := range zoo {
		t.Run(bad.name, func(t *testing.T) {
			for _, l := range letters {
				if l.Subject != bad.subject || l.Size != len(bad.payload) || !bytes.HasPrefix(bad.payload, l.Payload) {
					continue
				}
				for _, part := range bad.want {
					if !strings.Contains(l.Reason, part) {
						t.Errorf("the reason %q does not tell %q", l.Reason, part)
					}
				}
				return
			}
			t.Error("no dead letter")
		})
	}
}

func TestRefusalIsToldToWhoAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	r.start(Options{Slots: 1, Handlers: Handlers{messages.KindBackup: fake{check: knownSource, run: func(context.Context, *Task) (any, error) { return "done", nil }}}})
	for payload, want := range map[string]messages.Outcome{
		`{"source":"home","id":"a"}`: messages.OutcomeSucceeded,
		`{"source":"hone","id":"b"}`: messages.OutcomeRefused,
		`{"sauce":"home"}`:           messages.OutcomeRefused,
	} {
		answers := r.listen("dr.answers")
		r.publish("dr.jobs.backup."+region, "dr.answers", []byte(payload))
		e, err := messages.DecodeEvent(<-answers)
		if err != nil || e.Outcome != want {
			t.Errorf("%s was answered %+v, %v; want %s", payload, e, err, want)
		}
		if want == messages.OutcomeRefused && e.Error == "" {
			t.Errorf("the refusal of %s gives no reason", payload)
		}
	}
}

func TestAnIDBelongsToOneJob(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	r.start(Options{Slots: 1, Handlers: Handlers{
		messages.KindBackup: fake{run: func(context.Context, *Task) (any, error) { return nil, Snooze(time.Hour, "later") }},
		messages.KindForget: fake{run: func(context.Context, *Task) (any, error) { return nil, nil }},
	}})
	r.publish("dr.jobs.backup."+region, "", []byte(`{"source":"home","id":"mine"}`))
	before := r.await("mine", messages.StateRetrying)
	r.publish("dr.jobs.forget."+region, "", []byte(`{"id":"mine"}`))
	r.eventually("the second is refused", func() bool { return len(r.letters()) == 1 })
	if l := r.letters()[0]; !strings.Contains(l.Reason, `"mine" belongs to a backup job`) {
		t.Errorf("reason %q", l.Reason)
	}
	if after := r.record("mine"); after.Revision != before.Revision {
		t.Errorf("the first job's record changed: %v", history(after.Record))
	}
}

func TestAnIDOfAFinishedJobIsNoWayToLoseAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	r.start(Options{Slots: 1, Handlers: backups(func(context.Context, *Task) (any, error) { return nil, nil })})
	r.publish("dr.jobs.backup."+region, "", []byte(`{"source":"home","id":"mine"}`))
	r.await("mine", messages.StateSucceeded)
	r.publish("dr.jobs.backup."+region, "", []byte(`{"source":"home","id":"mine","tags":[]}`)) // the same once more
	r.publish("dr.jobs.backup."+region, "", []byte(`{"source":"orders","id":"mine"}`))
	r.eventually("the other is refused", func() bool { return len(r.letters()) == 1 })
	r.empty()
	if l := r.letters()[0]; !strings.Contains(l.Reason, `"mine" belongs to another backup job, {"source":"home"}`) {
		t.Errorf("reason %q", l.Reason)
	}
}

func TestSameJobSentTwiceRunsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	runs := make(chan string, 10)
	r.start(Options{Slots: 1, Handlers: backups(func(_ context.Context, t *Task) (any, error) {
		runs <- t.Job.ID
		return nil, nil
	})})
	for range 3 {
		r.publish("dr.jobs.backup."+region, "", []byte(`{"source":"home","id":"once"}`))
	}
	r.await("once", messages.StateSucceeded)
	r.empty()
	if len(runs) != 1 {
		t.Errorf("it ran %d times", len(runs))
	}
	if got := strings.Join(r.events("once"), " "); got != "accepted/1 started/1 succeeded/1" {
		t.Errorf("events %s", got)
	}
}
