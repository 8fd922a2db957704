package plan

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// small is a plan of two actions.
const small = `
name: small
about: two actions
start: automatic
limits: {at_most: 2, within: 1h, quiet: 5m}
protects: ["thing/$which"]
window: 10m
failback: back
parameters:
  which: {type: text, about: what}
steps:
  - {name: a, kind: action, uses: set, with: {thing: $which, value: away}, timeout: 5s, undo: {uses: set, with: {thing: $which, value: home}, timeout: 5s}}
  - {name: b, kind: action, uses: set, with: {thing: second, value: away}, timeout: 5s, needs: [a]}
`

const back = `
name: back
about: goes back
returns: true
variants: [graceful]
protects: ["thing/$which"]
parameters:
  which: {type: text, about: what}
steps:
  - {name: a, kind: action, uses: set, with: {thing: $which, value: home}, timeout: 5s}
`

func order(t testing.TB, text, which string, trigger Trigger) Order {
	t.Helper()
	return Order{Plan: load(t, text), Params: map[string]string{"which": which}, Trigger: trigger, By: "ann", Reason: "test"}
}

func TestOnePlanAtATimePerThing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		x := node{w: w}.executor(t)
		first, err := x.Start(t.Context(), 5, order(t, small, "db", ByHand))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Start(t.Context(), 5, order(t, small, "db", ByHand)); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), first.ID) {
			t.Fatalf("second order: %v, want ErrBusy and who holds it", err)
		}
		if all, err := x.List(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("an order that is refused leaves an execution: %d, %v", len(all), err)
		}
		if _, err := x.Start(t.Context(), 5, order(t, small, "web", ByHand)); err != nil {
			t.Errorf("another thing: %v", err)
		}
		// Within the window it is held; afterwards it is free, and away.
		e, err := x.Run(t.Context(), 5, first.ID)
		if err != nil || e.State != StateCommitted || !strings.Contains(e.Digest, "") {
			t.Fatalf("%s %v", e.State, err)
		}
		standings, err := x.Standings(t.Context())
		if err != nil || len(standings) != 2 || standings[0].Holder != "" || standings[0].Away != first.ID {
			t.Errorf("standings %+v, %v", standings, err)
		}
	})
}

// Two orders at the same moment: one is written down and refused.
func TestOrdersThatMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		x := node{w: w}.executor(t)
		var first Execution
		meets := node{w: w, gate: func(what string, do func()) error {
			do()
			if what == "get "+boardKey && first.ID == "" {
				first.ID = "now"
				var err error
				if first, err = x.Start(t.Context(), 5, order(t, small, "db", ByHand)); err != nil {
					t.Error(err)
				}
			}
			return nil
		}}.executor(t)
		second, err := meets.Start(t.Context(), 5, order(t, small, "db", ByHand))
		if !errors.Is(err, ErrBusy) {
			t.Fatalf("the later one: %v", err)
		}
		if second, err = x.Find(t.Context(), second.ID); err != nil || second.State != StateRefused || !strings.Contains(second.Error, first.ID) {
			t.Errorf("%q (%s), %v", second.State, second.Error, err)
		}
	})
}

func TestAutomaticRunsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		x := node{w: w}.executor(t)
		start := func() error {
			e, err := x.Start(t.Context(), 5, order(t, small, "db", Automatic))
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = x.Run(ctx, 5, e.ID) // stays in its window
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			return nil
		}
		if err := start(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := start(); !errors.Is(err, ErrTooSoon) {
				t.Errorf("a minute later: %v, want ErrTooSoon", err)
			}
		}
		if all, err := x.List(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("orders that are refused fill the journal: %d, %v", len(all), err)
		}
		time.Sleep(5 * time.Minute)
		// The newer fault commits what is still in its window.
		if err := start(); err != nil {
			t.Fatal(err)
		}
		all, err := x.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		states := map[State]int{}
		for _, e := range all {
			states[e.State]++
		}
		if states[StateCommitted] != 1 || states[StateFailedOver] != 1 {
			t.Errorf("states %v", states)
		}
		time.Sleep(10 * time.Minute)
		if err := start(); !errors.Is(err, ErrTooSoon) || !strings.Contains(err.Error(), "2 within 1h") {
			t.Errorf("the third within an hour: %v", err)
		}
		time.Sleep(time.Hour)
		if err := start(); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// An automatic plan whose check does not hold changes nothing, and does not keep the
// next one from starting when the fault is real.
func TestIdleAutomaticRunsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		x := node{w: w}.executor(t)
		text := strings.Replace(small, "steps:\n", "steps:\n  - {name: look, kind: check, uses: is, with: {thing: fault}, timeout: 1s}\n", 1)
		run := func() (Execution, error) {
			e, err := x.Start(t.Context(), 5, order(t, text, "db", Automatic))
			if err != nil {
				return e, err
			}
			return x.Run(t.Context(), 5, e.ID)
		}
		for range 5 {
			w.truth["fault"] = false
			if e, err := run(); err != nil || e.State != StateRolledBack {
				t.Fatalf("%s %v", e.State, err)
			}
			if _, err := run(); !errors.Is(err, ErrTooSoon) {
				t.Errorf("at once again: %v", err)
			}
			time.Sleep(idlePause)
		}
		w.truth["fault"] = true
		if e, err := run(); err != nil || e.State != StateCommitted {
			t.Errorf("the real one: %s %v", e.State, err)
		}
	})
}

func TestStoppedPlanWaitsForAPerson(t *testing.T) {
	for _, c := range []struct {
		verb  Verb
		state State
		db    string
	}{
		{VerbContinue, StateCommitted, "away"},
		{VerbRollback, StateRolledBack, "home"},
		{VerbCommit, StateCommitted, "away"},
	} {
		t.Run(string(c.verb), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.fails["second"] = 1
				x := node{w: w}.executor(t)
				e, err := x.Start(t.Context(), 5, order(t, small, "db", ByHand))
				if err != nil {
					t.Fatal(err)
				}
				if e, err = x.Run(t.Context(), 5, e.ID); err != nil || e.State != StateStopped || !strings.Contains(e.Error, "step b: it would not") {
					t.Fatalf("%s %q %v", e.State, e.Error, err)
				}
				if s, _, ok := e.Current(); !ok || s.Name != "b" {
					t.Errorf("it stopped at %q", s.Name)
				}
				if ids, err := x.Unfinished(t.Context()); err != nil || len(ids) != 0 {
					t.Errorf("a new leader would go on with %v (%v)", ids, err)
				}
				if _, err := x.Start(t.Context(), 5, order(t, small, "db", Automatic)); !errors.Is(err, ErrBusy) {
					t.Errorf("a stopped plan lets go: %v", err)
				}
				if _, err := x.Decide(t.Context(), 6, e.ID, Decision{Verb: c.verb, By: "bob"}); err != nil {
					t.Fatal(err)
				}
				if e, err = x.Run(t.Context(), 6, e.ID); err != nil || e.State != c.state {
					t.Fatalf("%s %q %v", e.State, e.Error, err)
				}
				if got := w.value("db"); got != c.db {
					t.Errorf("db is %s, want %s", got, c.db)
				}
				if err := w.check(&e); err != nil {
					t.Error(err)
				}
				if _, err := x.Decide(t.Context(), 6, e.ID, Decision{Verb: c.verb, By: "bob"}); !errors.Is(err, ErrRefused) {
					t.Errorf("a decision about what is over: %v", err)
				}
			})
		})
	}
}

func TestFailedCheckEndsAPlanThatChangedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.truth["ready"] = false
		x := node{w: w}.executor(t)
		e, err := x.Start(t.Context(), 5, Order{Plan: load(t, whole), Trigger: ByHand})
		if err != nil {
			t.Fatal(err)
		}
		if e, err = x.Run(t.Context(), 5, e.ID); err != nil || e.State != StateRolledBack || e.Error == "" || len(w.effects) > 0 {
			t.Errorf("%s %q %v, effects %v", e.State, e.Error, err, w.effects)
		}
	})
}

func TestNeedsAndContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Replace(small, "undo: {uses", "on_failure: continue, undo: {uses", 1)
		w := newWorld()
		w.fails["db"] = 1
		x := node{w: w}.executor(t)
		e, err := x.Start(t.Context(), 5, order(t, text, "db", ByHand))
		if err != nil {
			t.Fatal(err)
		}
		if e, err = x.Run(t.Context(), 5, e.ID); err != nil || e.outcome("a") != OutcomeFailed || e.outcome("b") != OutcomeSkipped {
			t.Errorf("%+v %v", e.Entries, err)
		}
	})
}

func TestStaleLeaderWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		old, young := node{w: w}.executor(t), node{w: w}.executor(t)
		e, err := old.Start(t.Context(), 5, order(t, small, "db", ByHand))
		if err != nil {
			t.Fatal(err)
		}
		if err := young.Ascend(t.Context(), 9); err != nil {
			t.Fatal(err)
		}
		if _, err := young.claim(t.Context(), e.ID, 9); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		before := len(w.writes)
		w.mu.Unlock()
		if _, err := old.Run(t.Context(), 5, e.ID); !errors.Is(err, ErrFenced) {
			t.Errorf("Run: %v", err)
		}
		if _, err := old.Start(t.Context(), 5, order(t, small, "web", ByHand)); !errors.Is(err, ErrFenced) {
			t.Errorf("Start: %v", err)
		}
		if _, err := old.Decide(t.Context(), 5, e.ID, Decision{Verb: VerbRollback}); !errors.Is(err, ErrFenced) {
			t.Errorf("Decide: %v", err)
		}
		if _, err := old.Approve(t.Context(), 5, e.ID, Approval{}); !errors.Is(err, ErrFenced) {
			t.Errorf("Approve: %v", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, key := range w.writes[before:] {
			// A new execution may be written down; it holds nothing and never begins.
			if key == boardKey || key == executionPrefix+e.ID {
				t.Errorf("the stale leader wrote %s", key)
			}
		}
		if len(w.effects) > 0 {
			t.Errorf("effects %v", w.effects)
		}
	})
}

func TestOrderThatWasNeverBegunIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		x := node{w: w}.executor(t)
		e, err := x.Start(t.Context(), 5, order(t, small, "db", ByHand))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * stale)
		if e, err = x.Run(t.Context(), 9, e.ID); err != nil || e.State != StateRefused || len(w.effects) > 0 {
			t.Errorf("%s %v", e.State, err)
		}
	})
}

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := node{w: w}
		x := n.executor(t, func(o *Options) {
			slow := n.set().(ActionFuncs)
			slow.Does = func(ctx context.Context, _ Call) (string, error) {
				<-ctx.Done()
				return "", context.Cause(ctx)
			}
			if err := o.Registry.BindAction("set", slow); err != nil {
				t.Fatal(err)
			}
		})
		e, err := x.Start(t.Context(), 5, order(t, small, "db", ByHand))
		if err != nil {
			t.Fatal(err)
		}
		if e, err = x.Run(t.Context(), 5, e.ID); err != nil || e.State != StateStopped || !strings.Contains(e.Error, "longer than its timeout of 5s") {
			t.Fatalf("%s %q %v", e.State, e.Error, err)
		}
		if took := e.Entries[0].Finished.Sub(e.Entries[0].Started); took != 5*time.Second {
			t.Errorf("the step took %v", took)
		}
	})
}

// A step that does not end when its time is over cannot be left behind; whoever renews the lease of
// the leader is told that nothing goes on.
func TestAStepThatHangsIsNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wakes := make(chan struct{})
		n := node{w: newWorld()}
		x := n.executor(t, func(o *Options) {
			deaf := n.set().(ActionFuncs)
			deaf.Does = func(context.Context, Call) (string, error) { <-wakes; return "", nil }
			if err := o.Registry.BindAction("set", deaf); err != nil {
				t.Fatal(err)
			}
		})
		e, err := x.Start(t.Context(), 5, order(t, small, "db", ByHand))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := x.Run(t.Context(), 5, e.ID)
			ended <- err
		}()
		time.Sleep(5*time.Second + hungAfter - time.Millisecond)
		if !x.Alive() {
			t.Error("it may still end, and counts as hung")
		}
		time.Sleep(time.Second)
		if x.Alive() {
			t.Error("a step hangs, and nobody is told")
		}
		close(wakes)
		if err := <-ended; err != nil || !x.Alive() {
			t.Errorf("alive %v: %v", x.Alive(), err)
		}
	})
}

func TestPanicOfAnActionIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := node{w: newWorld()}
		x := n.executor(t, func(o *Options) {
			bad := n.set().(ActionFuncs)
			bad.Does = func(context.Context, Call) (string, error) { panic("nobody thought of that") }
			if err := o.Registry.BindAction("set", bad); err != nil {
				t.Fatal(err)
			}
		})
		e, err := x.Start(t.Context(), 5, order(t, small, "db", ByHand))
		if err != nil {
			t.Fatal(err)
		}
		if e, err = x.Run(t.Context(), 5, e.ID); err != nil || e.State != StateStopped || !strings.Contains(e.Error, "nobody thought of that") {
			t.Errorf("%s %q %v", e.State, e.Error, err)
		}
	})
}

func TestRollbackEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, with, _ := approver(t)
		w := newWorld()
		x := node{w: w}.executor(t, with)
		e, err := x.Start(t.Context(), 5, Order{Plan: load(t, whole), Trigger: ByHand})
		if err != nil {
			t.Fatal(err)
		}
		var ended Execution
		var run sync.WaitGroup
		run.Go(func() { ended, err = x.Run(t.Context(), 5, e.ID) })
		time.Sleep(time.Minute)
		if waiting, err := x.Find(t.Context(), e.ID); err != nil || waiting.State != StateExecuting {
			t.Fatalf("%s %v", waiting.State, err)
		}
		began := time.Now()
		if _, err := x.Decide(t.Context(), 5, e.ID, Decision{Verb: VerbRollback, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		run.Wait()
		if err != nil || ended.State != StateRolledBack || w.value("one") != "home" {
			t.Errorf("%s %v, one is %s", ended.State, err, w.value("one"))
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it was heard after %v", took)
		}
	})
}

func TestWindowEndsByItself(t *testing.T) {
	for expired, state := range map[string]State{"commit": StateCommitted, "rollback": StateRolledBack} {
		synctest.Test(t, func(t *testing.T) {
			x := node{w: newWorld()}.executor(t)
			e, err := x.Start(t.Context(), 5, order(t, small+"\nexpired: "+expired, "db", ByHand))
			if err != nil {
				t.Fatal(err)
			}
			if e, err = x.Run(t.Context(), 5, e.ID); err != nil || e.State != state {
				t.Errorf("%s: %s %v", expired, e.State, err)
			}
			if took := e.Finished.Sub(e.Created); took != 10*time.Minute {
				t.Errorf("it ended after %v", took)
			}
		})
	}
}
