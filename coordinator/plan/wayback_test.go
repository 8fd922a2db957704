package plan

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mahavishnu/fault"
)

// both is a plan of two steps that can be taken back.
const both = `
name: both
about: two steps that can be taken back
protects: ["thing/x"]
window: 10m
failback: back
steps:
  - {name: a, kind: action, uses: set, with: {thing: one, value: away}, timeout: 5s, undo: {uses: set, with: {thing: one, value: home}, timeout: 5s}}
  - {name: b, kind: action, uses: set, with: {thing: two, value: away}, timeout: 5s, undo: {uses: set, with: {thing: two, value: home}, timeout: 5s}}
  - {name: tell, kind: action, uses: set, with: {thing: told, value: away}, timeout: 5s}
`

// A rollback that would stop halfway is not begun, unless somebody insists; what then
// stands is told, whatever is decided about it.
func TestRollbackThatWouldStopHalfway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		x := node{w: w}.executor(t)
		e, err := x.Start(t.Context(), 5, Order{Plan: load(t, both), Trigger: ByHand, By: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = x.Run(t.Context(), 5, e.ID) }()
		synctest.Wait()
		w.mu.Lock()
		w.stuck["one"], w.fails["one"] = true, 1
		w.mu.Unlock()
		_, err = x.Decide(t.Context(), 5, e.ID, Decision{Verb: VerbRollback, By: "ann"})
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "step a: nobody hears of it") || strings.Contains(err.Error(), "step b") {
			t.Fatalf("a rollback that cannot be carried out: %v", err)
		}
		if hints := strings.Join(fault.Hints(err), " "); !strings.Contains(hints, "commit "+e.ID) || !strings.Contains(hints, "failback "+e.ID) || !strings.Contains(hints, "--force") {
			t.Errorf("hints: %s", hints)
		}
		synctest.Wait()
		if e, err = x.Find(t.Context(), e.ID); err != nil || e.State != StateFailedOver || w.value("two") != "away" {
			t.Fatalf("%s, %s, %v", e.State, w.value("two"), err)
		}
		if _, err = x.Decide(t.Context(), 5, e.ID, Decision{Verb: VerbRollback, By: "ann", Force: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if e, err = x.Find(t.Context(), e.ID); err != nil || e.State != StateStopped || w.value("two") != "home" {
			t.Fatalf("%s, %s, %v", e.State, w.value("two"), err)
		}
		if e, err = x.Decide(t.Context(), 5, e.ID, Decision{Verb: VerbCommit, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		if want := []string{"taken back: b", "not taken back: a"}; e.State != StateCommitted || !slices.Equal(e.Told(), want) {
			t.Errorf("%s: %q, want %q", e.State, e.Told(), want)
		}
	})
}

// What an action began on one of several things is taken back, too.
func TestWhatWasBegunIsTakenBack(t *testing.T) {
	for _, c := range []struct {
		begun bool
		value string
	}{{false, "some"}, {true, "home"}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.fails["one"] = 1
			n := node{w: w}
			action, ok := n.set().(ActionFuncs)
			if !ok {
				t.Fatal("it is another action")
			}
			action.HasBegun = func(context.Context, Call) (bool, error) { return c.begun, nil }
			x := n.executor(t, func(o *Options) {
				o.Registry = testRegistry()
				if err := errors.Join(o.Registry.BindAction("set", action), o.Registry.BindCondition("is", n.is())); err != nil {
					t.Fatal(err)
				}
			})
			e, err := x.Start(t.Context(), 5, Order{Plan: load(t, both), Trigger: ByHand, By: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			if e, err = x.Run(t.Context(), 5, e.ID); err != nil || e.State != StateStopped {
				t.Fatalf("%s %v", e.State, err)
			}
			w.mu.Lock()
			w.at("one").value = "some" // neither home nor away
			w.mu.Unlock()
			if _, err := x.Decide(t.Context(), 5, e.ID, Decision{Verb: VerbRollback, By: "ann"}); err != nil {
				t.Fatal(err)
			}
			if e, err = x.Run(t.Context(), 5, e.ID); err != nil || e.State != StateRolledBack || w.value("one") != c.value {
				t.Errorf("begun %v: %s, %s, want %s (%v)", c.begun, e.State, w.value("one"), c.value, err)
			}
		})
	}
}
