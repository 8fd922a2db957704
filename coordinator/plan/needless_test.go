package plan

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// A plan that finds that it is not needed any more goes back at once, from an action or
// from a wait, however often the step may be tried and whatever else it does about failures.
func TestAPlanThatIsNotNeededAnyMoreGoesBack(t *testing.T) {
	for what, last := range map[string]string{
		"an action": `{name: c, kind: action, uses: set, with: {thing: served, value: away}, timeout: 5s, retries: 9}`,
		"a wait":    `{name: c, kind: wait, uses: is, with: {thing: served}, timeout: 1h}`,
		"a check":   `{name: c, kind: check, uses: is, with: {thing: served}, timeout: 5s, retries: 9, on_failure: continue}`,
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				n := node{w: w}
				gone := fmt.Errorf("%w: it serves again", ErrNeedless)
				x := n.executor(t, func(o *Options) {
					set, is := o.Registry.actions["set"].(ActionFuncs), o.Registry.conditions["is"]
					does := set.Does
					set.Does = func(ctx context.Context, c Call) (string, error) {
						if c.Text("thing") == "served" {
							return "", gone
						}
						return does(ctx, c)
					}
					o.Registry.actions["set"] = set
					o.Registry.conditions["is"] = ConditionFunc(func(ctx context.Context, c Call) (bool, string, error) {
						if c.Text("thing") == "served" {
							return false, "", gone
						}
						return is.Holds(ctx, c)
					})
				})
				p := load(t, `
name: moved
about: a step that is taken back, one that is not, and one that is not needed
protects: ["thing/x"]
window: none
steps:
  - {name: a, kind: action, uses: set, with: {thing: one, value: away}, timeout: 5s, undo: {uses: set, with: {thing: one, value: home}, timeout: 5s}}
  - {name: b, kind: action, uses: set, with: {thing: two, value: away}, timeout: 5s}
  - `+last)
				began := x.now()
				e, err := x.Start(t.Context(), 5, Order{Plan: p, Trigger: ByHand, By: "ann"})
				if err == nil {
					e, err = x.Run(t.Context(), 5, e.ID)
				}
				if err != nil {
					t.Fatal(err)
				}
				if e.State != StateRolledBack || w.value("one") != "home" || w.value("two") != "away" || !strings.Contains(e.Error, "it serves again") {
					t.Errorf("%s: %s; one is %s, two is %s", e.State, e.Error, w.value("one"), w.value("two"))
				}
				if took := x.now().Sub(began); took != 0 {
					t.Errorf("it was tried for %v", took)
				}
			})
		})
	}
}
