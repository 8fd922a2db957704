package plan

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The newest executions that have ended stay, and all that are needed; what goes is in
// the audit log first, whole.
func TestOldExecutionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var kept []AuditEntry
		full := false
		l := lead(t, w, 5, func(o *Options) {
			o.Audit = func(_ context.Context, e AuditEntry) error {
				if full && e.Action == actionForget {
					return errors.New("the log is full")
				}
				kept = append(kept, e)
				return nil
			}
		})
		x := l.Executor()
		execute := func(which string, commit bool) string {
			e, err := l.ask(t, Request{Ask: AskExecute, Plan: "small", Params: map[string]string{"which": which}, By: "ann"})
			if err == nil && commit {
				_, err = l.ask(t, Request{Ask: AskCommit, Execution: e.ID, By: "ann"})
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			return e.ID
		}
		away := execute("far", true)       // the failback needs it
		window := execute("window", false) // it can still be rolled back
		var ended []string
		for range 6 {
			id := execute("db", true)
			back, err := l.ask(t, Request{Ask: AskFailback, Execution: id, By: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			ended = append(ended, id, back.ID)
		}
		late := execute("late", false) // it has not ended, so it is none of the newest that have
		full = true
		if n, err := x.Forget(t.Context(), l.epoch, 3); err == nil || n != 0 || !strings.Contains(err.Error(), "the log is full") {
			t.Errorf("%d forgotten without a word in the audit log: %v", n, err)
		}
		full = false
		if _, err := x.Forget(t.Context(), l.epoch-1, 3); !errors.Is(err, ErrFenced) {
			t.Errorf("a leader of the past forgets: %v", err)
		}
		if n, err := x.Forget(t.Context(), l.epoch, 3); err != nil || n != 9 {
			t.Errorf("%d forgotten, %v; want 9 of 12", n, err)
		}
		all, err := x.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, e := range all {
			left = append(left, e.ID)
		}
		want := append([]string{away, window, late}, ended[9:]...)
		slices.Sort(left)
		slices.Sort(want)
		if !slices.Equal(left, want) {
			t.Errorf("left are %v, want %v", left, want)
		}
		gone := 0
		for _, entry := range kept {
			if entry.Action != actionForget {
				continue
			}
			gone++
			var e Execution
			if err := json.Unmarshal(entry.Record, &e); err != nil || e.ID != entry.Execution || len(e.Entries) == 0 || !slices.Contains(ended, e.ID) {
				t.Errorf("the audit log keeps %s: %v", entry.Record, err)
			}
		}
		if gone != 9 {
			t.Errorf("%d of 9 are in the audit log", gone)
		}
		// What is left still works.
		if _, err := l.ask(t, Request{Ask: AskFailback, Execution: away}); err != nil {
			t.Error(err)
		}
		if _, err := l.ask(t, Request{Ask: AskRollback, Execution: window}); err != nil {
			t.Error(err)
		}
		if err := l.end(); !errors.Is(err, errGone) {
			t.Error(err)
		}
	})
}

// A leading desk forgets by itself.
func TestDeskForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		d := NewDesk(node{w: w}.executor(t), DeskOptions{Plans: Plans{"asked": load(t, plain)}, Keep: 2})
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Lead(ctx, 5) }()
		synctest.Wait()
		for range 5 {
			if r := d.Handle(t.Context(), Request{Ask: AskExecute, Plan: "asked"}); r.Err() != nil {
				t.Fatal(r.Err())
			}
			time.Sleep(time.Second)
		}
		time.Sleep(EvaluateEvery)
		synctest.Wait()
		if all, err := d.Executor().List(t.Context()); err != nil || len(all) != 2 {
			t.Errorf("%d executions are left, %v", len(all), err)
		}
		cancel(errGone)
		if err := <-ended; !errors.Is(err, errGone) {
			t.Error(err)
		}
	})
}

// plain is a plan that ends at once.
const plain = `
name: asked
about: something small
protects: [x]
window: none
steps:
  - {name: one, kind: action, uses: set, with: {thing: x, value: here}, timeout: 1s}
`
