package worker

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// TestLife runs a job through every outcome and compares the record's history,
// the events and the dead letters with what they must be.
func TestLife(t *testing.T) {
	t.Parallel()
	boom := fault.New("read", "/srv", errors.New("disk on fire"), "replace the disk")
	type script = func(ctx context.Context, t *Task, run int) (any, error)
	for name, c := range map[string]struct {
		change  func(*messages.Job)
		run     script
		history []string
		events  []string
		letter  string // "cause: reason" or ""
		result  string
		err     string
		spent   int
	}{
		"done": {
			run:     func(context.Context, *Task, int) (any, error) { return map[string]int{"files": 3}, nil },
			history: []string{"queued/0", "running/1", "succeeded/1"},
			events:  []string{"started/1", "succeeded/1"},
			result:  `{"files":3}`,
		},
		"retried, then done": {
			run: func(_ context.Context, _ *Task, run int) (any, error) {
				if run < 3 {
					return nil, boom
				}
				return nil, nil
			},
			history: []string{
				"queued/0", "running/1", "retrying/1: read /srv: disk on fire; replace the disk",
				"running/2", "retrying/2: read /srv: disk on fire; replace the disk", "running/3", "succeeded/3",
			},
			events: []string{"started/1", "retrying/1", "started/2", "retrying/2", "started/3", "succeeded/3"},
			spent:  2,
		},
		"out of attempts": {
			change: func(j *messages.Job) { j.MaxAttempts = 2 },
			run:    func(context.Context, *Task, int) (any, error) { return nil, boom },
			history: []string{
				"queued/0", "running/1", "retrying/1: read /srv: disk on fire; replace the disk",
				"running/2", "dead/2: no attempts left: read /srv: disk on fire; replace the disk",
			},
			events: []string{"started/1", "retrying/1", "started/2", "dead/2"},
			letter: "exhausted: no attempts left: read /srv: disk on fire; replace the disk",
			err:    "read /srv: disk on fire; replace the disk",
			spent:  2,
		},
		"snoozed": {
			run: func(_ context.Context, _ *Task, run int) (any, error) {
				if run < 3 {
					return nil, Snooze(10*time.Millisecond, "the window is not open")
				}
				return nil, nil
			},
			history: []string{
				"queued/0", "running/1", "retrying/1: snoozed: the window is not open",
				"running/2", "retrying/2: snoozed: the window is not open", "running/3", "succeeded/3",
			},
			events: []string{"started/1", "snoozed/1", "started/2", "snoozed/2", "started/3", "succeeded/3"},
		},
		"discarded with a result": {
			run: func(context.Context, *Task, int) (any, error) {
				return map[string]int{"problems": 2}, Discard(errors.New("2 packs are damaged"))
			},
			history: []string{"queued/0", "running/1", "failed/1: 2 packs are damaged"},
			events:  []string{"started/1", "failed/1"},
			letter:  "failed: 2 packs are damaged",
			result:  `{"problems":2}`,
			err:     "2 packs are damaged",
		},
		"refused by the handler": {
			run: func(context.Context, *Task, int) (any, error) {
				return nil, &messages.RefusedError{Reason: "there is no snapshot x", Hint: "list them"}
			},
			history: []string{"queued/0", "running/1", "failed/1: there is no snapshot x; list them"},
			events:  []string{"started/1", "failed/1"},
			letter:  "refused: there is no snapshot x; list them",
			err:     "there is no snapshot x; list them",
		},
		"a result that is no JSON": {
			run:     func(context.Context, *Task, int) (any, error) { return func() {}, nil },
			history: []string{"queued/0", "running/1", "failed/1: encode the result of job ID: json: unsupported type: func()"},
			events:  []string{"started/1", "failed/1"},
			letter:  "failed: encode the result of job ID: json: unsupported type: func()",
			err:     "encode the result of job ID: json: unsupported type: func()",
		},
		"panic": {
			change:  func(j *messages.Job) { j.MaxAttempts = 1 },
			run:     func(context.Context, *Task, int) (any, error) { panic("index out of range") },
			history: []string{"queued/0", "running/1", "dead/1: no attempts left: the handler panicked: index out of range"},
			events:  []string{"started/1", "dead/1"},
			letter:  "exhausted: no attempts left: the handler panicked: index out of range",
			err:     "the handler panicked: index out of range",
			spent:   1,
		},
		"deadline while running": {
			change: func(j *messages.Job) { j.Deadline = time.Now().Add(300 * time.Millisecond) },
			run: func(ctx context.Context, _ *Task, _ int) (any, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
			history: []string{"queued/0", "running/1", "dead/1: the next attempt would be past the deadline: the job's deadline passed"},
			events:  []string{"started/1", "dead/1"},
			letter:  "exhausted: the next attempt would be past the deadline: the job's deadline passed",
			err:     "the job's deadline passed",
			spent:   1,
		},
		"deadline before the start": {
			change:  func(j *messages.Job) { j.Deadline = time.Now().Add(-time.Minute) },
			run:     func(context.Context, *Task, int) (any, error) { return nil, errors.New("it ran") },
			history: []string{"queued/0", "dead/0: the job's deadline has passed"},
			events:  []string{"dead/0"},
			letter:  "exhausted: the job's deadline has passed",
			err:     "the job's deadline has passed",
		},
		"not before": {
			change:  func(j *messages.Job) { j.NotBefore = time.Now().Add(100 * time.Millisecond) },
			run:     func(context.Context, *Task, int) (any, error) { return nil, nil },
			history: []string{"queued/0", "running/1", "succeeded/1"},
			events:  []string{"started/1", "succeeded/1"},
		},
		"done although its deadline passed": {
			change: func(j *messages.Job) { j.Deadline = time.Now().Add(200 * time.Millisecond) },
			run: func(ctx context.Context, _ *Task, _ int) (any, error) {
				<-ctx.Done()
				return "kept", nil
			},
			history: []string{"queued/0", "running/1", "succeeded/1"},
			events:  []string{"started/1", "succeeded/1"},
			result:  `"kept"`,
		},
		"handler that leaves its goroutine": {
			change:  func(j *messages.Job) { j.MaxAttempts = 1 },
			run:     func(context.Context, *Task, int) (any, error) { runtime.Goexit(); return nil, nil },
			history: []string{"queued/0", "running/1", "dead/1: no attempts left: the handler ended its goroutine without returning"},
			events:  []string{"started/1", "dead/1"},
			letter:  "exhausted: no attempts left: the handler ended its goroutine without returning",
			err:     "the handler ended its goroutine without returning",
			spent:   1,
		},
		"cursor carried on": {
			run: func(_ context.Context, t *Task, run int) (any, error) {
				if run == 1 {
					return nil, errors.Join(t.SaveCursor(map[string]int{"at": 7}), boom)
				}
				return t.Cursor, nil
			},
			history: []string{"queued/0", "running/1", "retrying/1: read /srv: disk on fire; replace the disk", "running/2", "succeeded/2"},
			events:  []string{"started/1", "retrying/1", "started/2", "succeeded/2"},
			result:  `{"at":7}`,
			spent:   1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3*time.Second)
			var runs atomic.Int32
			r.start(Options{Slots: 2, Handlers: backups(func(ctx context.Context, t *Task) (any, error) {
				return c.run(ctx, t, int(runs.Add(1)))
			})})
			change := c.change
			if change == nil {
				change = func(*messages.Job) {}
			}
			id := r.submit("home", change)
			e := r.await(id, messages.StateSucceeded, messages.StateFailed, messages.StateDead, messages.StateCancelled)
			r.empty()

			plain := func(s string) string { return strings.ReplaceAll(s, id, "ID") }
			if diff := cmp.Diff(c.history, strings.Split(plain(strings.Join(history(e.Record), "\n")), "\n")); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.events, r.events(id)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			letter := ""
			for _, l := range r.letters() {
				letter += plain(string(l.Cause) + ": " + l.Reason)
			}
			if letter != c.letter {
				t.Errorf("dead letters: %q, want %q", letter, c.letter)
			}
			if string(e.Result) != c.result || plain(e.Error) != c.err || e.Spent != c.spent {
				t.Errorf("result %s, error %q, spent %d; want %s, %q, %d", e.Result, e.Error, e.Spent, c.result, c.err, c.spent)
			}
		})
	}
}

func TestPanicLeavesItsStack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3*time.Second)
	var runs atomic.Int32
	r.start(Options{Slots: 1, Handlers: backups(func(context.Context, *Task) (any, error) {
		if runs.Add(1) == 1 {
			return t.Name()[len(t.Name())+int(runs.Load())], nil // out of range
		}
		return nil, Snooze(time.Hour, "so that the record can be read")
	})})
	e := r.await(r.submit("home"), messages.StateRetrying)
	r.eventually("the second attempt is over", func() bool { return runs.Load() == 2 })
	if !strings.Contains(e.Error, "index out of range") || !strings.Contains(e.Stack, "TestPanicLeavesItsStack") {
		t.Errorf("error %q and stack %q do not tell where it panicked", e.Error, e.Stack)
	}
}

func TestProgressReachesWatchersAndTheRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2*time.Second)
	release := make(chan struct{})
	r.start(Options{Slots: 1, ProgressEvery: 20 * time.Millisecond, Handlers: backups(func(_ context.Context, t *Task) (any, error) {
		t.Meter.Add(Advance{Files: 1, Bytes: 250, Current: "a", ExpectFiles: 10, ExpectBytes: 1000})
		<-release
		return nil, nil
	})})
	ctx, cancel := context.WithCancel(t.Context())
	reports, watched := make(chan messages.ProgressReport, 100), make(chan error, 1)
	go func() {
		watched <- r.WatchProgress(ctx, "", func(p messages.ProgressReport) { reports <- p })
	}()
	id := r.submit("home")
	r.eventually("the record shows progress", func() bool {
		p := r.record(id).Progress
		return p != nil && p.Bytes == 250 && p.TotalBytes == 1000 && p.Files == 1 && p.Current == "a"
	})
	close(release)
	r.await(id, messages.StateSucceeded)
	if p := <-reports; p.Job != id || p.Bytes != 250 || p.Attempt != 1 || p.Worker != "node1" {
		t.Errorf("report %+v", p)
	}
	if n := len(reports); n > 1 {
		t.Errorf("%d reports without news", n)
	}
	cancel()
	<-watched
}
