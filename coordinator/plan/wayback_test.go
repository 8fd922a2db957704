package plan

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// A plan that is to be taken back at the end of its window is so only when the way back
// is there: until then it stays as it is, says so once, and is tried again, by whoever
// leads; people may decide all the same.
func TestEndOfTheWindowAsksForTheWayBack(t *testing.T) {
	expires := strings.Replace(both, "window: 10m", "window: 10m\nexpired: rollback", 1)
	for _, c := range []struct {
		name     string
		decision Verb
		state    State
		one, two string
	}{
		{"it is mended", "", StateRolledBack, "home", "home"},
		{"kept", VerbCommit, StateCommitted, "away", "away"},
		{"insisted", VerbRollback, StateStopped, "away", "home"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				var told []Event // held by w.mu
				hears := func(o *Options) {
					o.Tell = func(e Event) {
						w.mu.Lock()
						defer w.mu.Unlock()
						if e.Kind == EventOverdue {
							told = append(told, e)
						}
					}
				}
				x := node{w: w}.executor(t, hears)
				e, err := x.Start(t.Context(), 5, Order{Plan: load(t, expires), Trigger: ByHand, By: "ann"})
				if err != nil {
					t.Fatal(err)
				}
				first, end := context.WithCancel(t.Context())
				go func() { _, _ = x.Run(first, 5, e.ID) }()
				synctest.Wait()
				w.mu.Lock()
				w.stuck["one"], w.fails["one"] = true, 1
				w.mu.Unlock()
				time.Sleep(11 * time.Minute)
				end()
				synctest.Wait()
				x = node{w: w}.executor(t, hears)
				go func() { _, _ = x.Run(t.Context(), 7, e.ID) }()
				time.Sleep(10 * time.Minute)
				e, err = x.Find(t.Context(), e.ID)
				if err != nil || e.State != StateFailedOver || e.Overdue != "step a: nobody hears of it" || w.value("two") != "away" {
					t.Fatalf("%s, overdue %q, %s, %v", e.State, e.Overdue, w.value("two"), err)
				}
				w.mu.Lock()
				if len(told) != 1 || !strings.Contains(told[0].Text, "nobody hears of it") || !strings.Contains(told[0].Text, "commit "+e.ID) {
					t.Errorf("told: %+v", told)
				}
				if c.decision == "" {
					w.stuck["one"], w.fails["one"] = false, 0
				}
				w.mu.Unlock()
				if c.decision != "" {
					if _, err := x.Decide(t.Context(), 7, e.ID, Decision{Verb: c.decision, By: "ann", Force: true}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				if e, err = x.Find(t.Context(), e.ID); err != nil || e.State != c.state || e.Overdue != "" {
					t.Errorf("%s, overdue %q, %v", e.State, e.Overdue, err)
				}
				if one, two := w.value("one"), w.value("two"); one != c.one || two != c.two {
					t.Errorf("one is %s and two is %s, want %s and %s", one, two, c.one, c.two)
				}
			})
		})
	}
}

// Who has just begun to lead may not have heard everybody.
func TestOneLookAtTheWayBackIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		overdue := false
		x := node{w: w}.executor(t, func(o *Options) {
			o.Tell = func(e Event) { overdue = overdue || e.Kind == EventOverdue }
		})
		e, err := x.Start(t.Context(), 5, Order{Plan: load(t, strings.Replace(both, "window: 10m", "window: 10m\nexpired: rollback", 1)), Trigger: ByHand, By: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		w.stuck["one"] = true
		time.AfterFunc(10*time.Minute+time.Second, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.stuck["one"] = false
		})
		if e, err = x.Run(t.Context(), 5, e.ID); err != nil || e.State != StateRolledBack || overdue {
			t.Errorf("%s, told %v, %v", e.State, overdue, err)
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
