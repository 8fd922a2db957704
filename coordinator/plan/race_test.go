package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// turn is a call that waits to be let through.
type turn struct {
	what  string
	node  string
	ready chan fate
	// frozen is how many turns of others it is passed over: a process that was
	// stopped for a while between deciding and doing.
	frozen int
	// gone is closed when its process is.
	gone <-chan struct{}
}

// fate is what becomes of a call.
type fate int

const (
	goes fate = iota
	diesBefore
	diesAfter
)

// race is several leaders of one execution, none of which knows that it is deposed
// until something tells it, with every call to the outside in an order that chance
// decides.
type race struct {
	t        *testing.T
	w        *world
	turns    chan *turn
	ended    chan error
	with     func(*Options)
	approves func(*Executor) func(Event)
	id       string
	epoch    uint64
	running  int
	cancels  []context.CancelCauseFunc
}

// start lets another leader, with a higher epoch, run the execution.
func (r *race) start() {
	r.epoch += 10
	epoch, name := r.epoch, fmt.Sprintf("n%d", r.epoch)
	ctx, cancel := context.WithCancelCause(r.t.Context())
	r.cancels = append(r.cancels, cancel)
	n := node{w: r.w, gate: func(what string, do func()) error {
		if ctx.Err() != nil {
			return errGone
		}
		t := &turn{what: what, node: name, ready: make(chan fate), gone: ctx.Done()}
		select {
		case r.turns <- t:
		case <-ctx.Done():
			return errGone
		}
		f := goes
		select {
		case f = <-t.ready:
		case <-ctx.Done():
			return errGone
		}
		if f != diesBefore {
			do()
		}
		if f != goes {
			cancel(errGone)
			return errGone
		}
		return nil
	}}
	var x *Executor
	x = n.executor(r.t, r.with, func(o *Options) {
		o.Node = name
		o.Tell = func(e Event) { r.approves(x)(e) }
	})
	r.running++
	go func() {
		_, err := x.Run(ctx, epoch, r.id)
		r.ended <- err
	}()
}

// play lets calls through as the choices say, and returns what broke the rules.
func (r *race) play(choices []int) error {
	var waiting []*turn
	for _, c := range choices {
		synctest.Wait()
		for more := true; more; {
			select {
			case t := <-r.turns:
				waiting = append(waiting, t)
				// A leader frozen on the point of acting, while another takes over,
				// is what fencing is for.
				if strings.HasPrefix(t.what, "do ") && c>>10%3 == 0 && r.epoch < 60 {
					t.frozen = 1 + c>>12%30
					r.start()
				}
			case err := <-r.ended:
				r.running--
				if err != nil && !errors.Is(err, ErrFenced) && !errors.Is(err, errGone) {
					return fmt.Errorf("a leader ended with %w", err)
				}
			default:
				more = false
			}
		}
		// In the order of their names, so that one sequence of choices is one history.
		slices.SortStableFunc(waiting, func(a, b *turn) int { return strings.Compare(a.node, b.node) })
		var awake []*turn
		for _, t := range waiting {
			if t.frozen--; t.frozen < 0 {
				awake = append(awake, t)
			}
		}
		switch {
		case c%29 == 0 && r.epoch < 60 || r.running == 0 && r.epoch < 100:
			r.start()
			continue
		case len(awake) == 0:
			time.Sleep(time.Second)
			continue
		}
		t := awake[c/8%len(awake)]
		waiting = slices.DeleteFunc(waiting, func(other *turn) bool { return other == t })
		f := goes
		switch c % 101 {
		case 1:
			f = diesBefore
		case 2:
			f = diesAfter
		}
		select {
		case t.ready <- f:
		case <-t.gone:
		}
	}
	return nil
}

// settle ends everybody and lets one last leader finish alone.
func (r *race) settle() (Execution, error) {
	for _, cancel := range r.cancels {
		cancel(errGone)
	}
	for ; r.running > 0; r.running-- {
		<-r.ended
	}
	var x *Executor
	x = node{w: r.w}.executor(r.t, r.with, func(o *Options) { o.Tell = func(e Event) { r.approves(x)(e) } })
	ctx, cancel := context.WithTimeout(r.t.Context(), 100*time.Hour)
	defer cancel()
	return x.Run(ctx, r.epoch+10, r.id)
}

// TestLeadersRace lets up to six leaders race for one execution, in every order of
// calls that chance finds, with processes that die, actions that fail and answers
// that are lost. Whatever happens, nothing takes effect twice, no effect of a lower
// epoch comes after one of a higher, and the last leader brings it to an end.
func TestLeadersRace(t *testing.T) {
	_, with, approves := approver(t)
	rapid.Check(t, func(rt *rapid.T) {
		choices := rapid.SliceOfN(rapid.IntRange(0, 1<<20), 50, 400).Draw(rt, "choices")
		fails := rapid.IntRange(0, 3).Draw(rt, "failures of one")
		lies := rapid.IntRange(0, 1).Draw(rt, "lost answers of one")
		undone := rapid.Bool().Draw(rt, "the probe fails")
		var broken error
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.fails["one"], w.lies["one"] = fails, lies
			if undone {
				w.truth["proof"] = false
			}
			e, err := node{w: w}.executor(t, with).Start(t.Context(), 1, Order{Plan: load(t, strings.Replace(whole, "window: 1h", "window: 1m", 1)), Trigger: ByHand})
			if err != nil {
				t.Fatal(err)
			}
			r := &race{
				t: t, w: w, turns: make(chan *turn, 100), ended: make(chan error, 100),
				with: with, approves: approves, id: e.ID,
			}
			broken = r.play(choices)
			final, err := r.settle()
			switch {
			case broken != nil:
			case err != nil:
				broken = fmt.Errorf("the last leader: %w", err)
			default:
				broken = w.check(&final)
			}
			if broken == nil {
				broken = wellEnded(&final, w)
			}
		})
		if broken != nil {
			rt.Fatal(broken)
		}
	})
}

// wellEnded compares how an execution ended with what it left behind.
func wellEnded(e *Execution, w *world) error {
	// Refused: nobody came to begin it in time.
	want := map[State]string{StateCommitted: "away", StateRolledBack: "home", StateRefused: "home", StateStopped: ""}
	value, ok := want[e.State]
	if !ok {
		return fmt.Errorf("it ended %s", e.State)
	}
	for _, name := range []string{"one", "two"} {
		if got := w.value(name); value != "" && got != value {
			return fmt.Errorf("it is %s and %s is %s", e.State, name, got)
		}
	}
	return nil
}
