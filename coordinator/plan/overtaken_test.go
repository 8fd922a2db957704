package plan

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
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
