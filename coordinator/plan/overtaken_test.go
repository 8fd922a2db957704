package plan

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// handover stops one thing, and starts another; each has to be down for the other to come up.
const handover = `
name: handover
about: one stops, the other starts
protects: [everything]
window: none
steps:
  - name: stop
    kind: action
    uses: set
    with: {thing: old, value: down}
    timeout: 5s
    on_failure: undo
    undo: {uses: set, with: {thing: old, value: up}, timeout: 5s, retries: 2}
  - name: start
    kind: action
    uses: set
    with: {thing: new, value: up}
    timeout: 5s
    on_failure: undo
    undo: {uses: set, with: {thing: new, value: down}, timeout: 5s}
`

// TestWhatComesTooLateIsTakenBackAfterAll gives up starting the new one, which starts all
// the same while the old one is being brought back: as long as it is up the old one
// cannot be.
func TestWhatComesTooLateIsTakenBackAfterAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := node{w: w}
		x := n.executor(t, func(o *Options) {
			set := n.set().(ActionFuncs)
			does := set.Does
			set.Does = func(ctx context.Context, c Call) (string, error) {
				switch {
				case c.Step == "start" && !c.Undo:
					<-ctx.Done()
					return "", context.Cause(ctx)
				case c.Step == "stop" && c.Undo && c.Attempt == 1:
					w.mu.Lock()
					w.at("new").value = "up"
					w.mu.Unlock()
					return "", errors.New("the new one is up")
				case c.Step == "stop" && c.Undo && w.value("new") == "up":
					return "", errors.New("the new one is still up")
				}
				return does(ctx, c)
			}
			if err := o.Registry.BindAction("set", set); err != nil {
				t.Fatal(err)
			}
		})
		e, err := x.Start(t.Context(), 5, Order{Plan: load(t, handover), Trigger: ByHand})
		if err != nil {
			t.Fatal(err)
		}
		e, err = x.Run(t.Context(), 5, e.ID)
		if err != nil || e.State != StateRolledBack || w.value("old") != "up" || w.value("new") != "down" {
			t.Errorf("%s %s %v: old is %s, new is %s", e.State, e.Error, err, w.value("old"), w.value("new"))
		}
		var undone []string
		for _, entry := range e.Entries {
			if entry.Undo {
				undone = append(undone, entry.Step+" "+string(entry.Outcome))
			}
		}
		want := []string{"start skipped", "stop retry", "start interrupted", "start done", "stop done"}
		if !slices.Equal(undone, want) {
			t.Errorf("undone: %q, want %q", undone, want)
		}
	})
}

// TestANewerFaultEndsWhatHasStopped stops an execution that began by itself: nobody may ever come
// to it, and the next fault must not wait for that. What a person began is a
// person's.
func TestANewerFaultEndsWhatHasStopped(t *testing.T) {
	for trigger, want := range map[Trigger]error{Automatic: nil, ByHand: ErrBusy} {
		t.Run(string(trigger), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.fails["db"] = 100
				x := node{w: w}.executor(t)
				first, err := x.Start(t.Context(), 5, order(t, small, "db", trigger))
				if err != nil {
					t.Fatal(err)
				}
				if first, err = x.Run(t.Context(), 5, first.ID); err != nil || first.State != StateStopped {
					t.Fatalf("%s %v", first.State, err)
				}
				time.Sleep(10 * time.Minute)
				second, err := x.Start(t.Context(), 5, order(t, small, "db", Automatic))
				if !errors.Is(err, want) {
					t.Fatalf("%v, want %v", err, want)
				}
				if first, err = x.Find(t.Context(), first.ID); err != nil {
					t.Fatal(err)
				}
				if ended := first.State == StateCommitted && first.Wish != nil; ended != (want == nil) {
					t.Errorf("the first is %s: %+v", first.State, first.Wish)
				}
				if begun := second.State == StateReady; begun != (want == nil) {
					t.Errorf("the second is %s", second.State)
				}
			})
		})
	}
}
