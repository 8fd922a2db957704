package plan

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// leader is a process that leads until it is cut off.
type leader struct {
	x      *Executor
	ctx    context.Context
	cancel context.CancelCauseFunc
	calls  int
}

// newLeader returns a process whose call numbered cut, from 1, is its last: it
// happens or not as after says, and nobody hears how it went.
func newLeader(t testing.TB, w *world, name string, cut int, after bool, with func(*Options), approves func(*Executor) func(Event)) *leader {
	l := &leader{}
	l.ctx, l.cancel = context.WithCancelCause(t.Context())
	var mu sync.Mutex
	gone := false
	n := node{w: w, gate: func(_ string, do func()) error {
		mu.Lock()
		defer mu.Unlock()
		if gone {
			return errGone
		}
		l.calls++
		if l.calls != cut {
			do()
			return nil
		}
		gone = true
		if after {
			do()
		}
		l.cancel(errGone)
		return errGone
	}}
	var x *Executor
	x = n.executor(t, with, func(o *Options) {
		o.Node = name
		o.Tell = func(e Event) { approves(x)(e) }
	})
	l.x = x
	return l
}

// scenario is a way for the whole plan to go.
type scenario struct {
	name    string
	prepare func(*world)
	// decide is what a person wants once the plan has failed over.
	decide Verb
	state  State
	things map[string]string
	// luck is set when a leader that dies at the right moment spares the plan its
	// failure: the next one finds that the action took effect.
	luck bool
}

var scenarios = []scenario{
	{
		name: "all goes well", decide: VerbCommit, state: StateCommitted,
		things: map[string]string{"one": "away", "two": "away", "three": "away"},
	},
	{
		name: "rolled back within the window", decide: VerbRollback, state: StateRolledBack,
		things: map[string]string{"one": "home", "two": "home", "three": "away"},
	},
	{
		name: "an attempt fails", decide: VerbCommit, state: StateCommitted,
		prepare: func(w *world) { w.fails["one"] = 1 },
		things:  map[string]string{"one": "away", "two": "away", "three": "away"},
	},
	{
		name: "an answer is lost", decide: VerbCommit, state: StateCommitted,
		prepare: func(w *world) { w.lies["one"] = 1 },
		things:  map[string]string{"one": "away", "two": "away", "three": "away"},
	},
	{
		name: "the third action fails and all is undone", state: StateRolledBack,
		prepare: func(w *world) { w.fails["three"] = 100 },
		things:  map[string]string{"one": "home", "two": "home", "three": "home"},
	},
	{
		name: "the last action fails though it took effect", decide: VerbCommit, state: StateRolledBack, luck: true,
		prepare: func(w *world) { w.lies["three"] = 1 },
		things:  map[string]string{"one": "home", "two": "home", "three": "away"},
	},
	{
		name: "the probe fails and all is undone", state: StateRolledBack,
		prepare: func(w *world) { w.truth["proof"] = false },
		things:  map[string]string{"one": "home", "two": "home", "three": "away"},
	},
}

// carry runs an execution with leaders that are cut off at the given calls, one
// after the other, and a last one that is not, and returns the record in the end and
// how many calls each leader made.
func (s scenario) carry(t testing.TB, w *world, cuts []int, afters []bool, with func(*Options), approves func(*Executor) func(Event)) (Execution, []int) {
	t.Helper()
	if s.prepare != nil {
		s.prepare(w)
	}
	first := newLeader(t, w, "n0", 0, false, with, approves)
	e, err := first.x.Start(t.Context(), 1, Order{Plan: load(t, whole), Trigger: ByHand, By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	var calls []int
	for i := 0; ; i++ {
		cut, after := 0, false
		if i < len(cuts) {
			cut, after = cuts[i], afters[i]
		}
		l := newLeader(t, w, fmt.Sprintf("n%d", i+1), cut, after, with, approves)
		epoch := uint64(10 * (i + 1))
		if s.decide != "" {
			go func() {
				for l.x.clock.Sleep(l.ctx, 10*time.Second) == nil {
					if now, err := l.x.Find(l.ctx, e.ID); err == nil && now.State == StateFailedOver && now.Wish == nil {
						_, _ = l.x.Decide(l.ctx, epoch, e.ID, Decision{Verb: s.decide, By: "ann"}) // or the next leader's
					}
				}
			}()
		}
		final, err := l.x.Run(l.ctx, epoch, e.ID)
		l.cancel(errGone)
		synctest.Wait()
		calls = append(calls, l.calls)
		switch {
		case err == nil:
			return final, calls
		case !errors.Is(err, errGone):
			t.Fatalf("leader %d ended with %v", i, err)
		case i >= len(cuts):
			t.Fatalf("the last leader was cut off: %v", err)
		}
	}
}

// verify looks at the end of a scenario.
func (s scenario) verify(w *world, e *Execution) error {
	if err := w.check(e); err != nil {
		return err
	}
	if s.luck && e.State == StateCommitted {
		s.state, s.things = StateCommitted, map[string]string{"one": "away", "two": "away", "three": "away"}
	}
	if e.State != s.state {
		return fmt.Errorf("the execution is %s (%s), want %s", e.State, e.Error, s.state)
	}
	for name, want := range s.things {
		if got := w.value(name); got != want {
			return fmt.Errorf("%s is %s, want %s; effects: %+v", name, got, want, w.effects)
		}
	}
	x := node{w: w}
	b, _, err := (&Executor{o: Options{Journal: x}}).readBoard(context.Background())
	if err == nil && b.Things["everything"].Holder != "" {
		err = fmt.Errorf("what it protected is held by %q", b.Things["everything"].Holder)
	}
	return err
}

// TestLeaderKilledAtEveryCall cuts a leader off at each of its calls to the outside,
// every read and write of the journal and every call of an action, before and after
// it happened. The next leader finishes, and nothing takes effect twice.
func TestLeaderKilledAtEveryCall(t *testing.T) {
	_, with, approves := approver(t)
	for i, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			cuts := 1
			// What the first two have not in common with the others is cut thoroughly
			// enough by every third call.
			stride := 1
			if i > 1 {
				stride = 3
			}
			for cut := 0; cut <= cuts; cut += stride {
				for _, after := range []bool{false, true} {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld()
						e, calls := s.carry(t, w, []int{cut}, []bool{after}, with, approves)
						if cut == 0 {
							cuts = calls[0]
						}
						if err := s.verify(w, &e); err != nil {
							t.Errorf("cut at call %d of %d (after: %v): %v", cut, cuts, after, err)
						}
					})
				}
				if t.Failed() {
					return
				}
			}
			if cuts < 30 {
				t.Errorf("only %d calls were cut; the plan makes more", cuts)
			}
		})
	}
}
