package plan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// quick is a plan of many actions that waits for nothing.
const quick = `
name: quick
about: many actions
protects: [everything]
window: none
steps:
  - {name: s0, kind: action, uses: set, with: {thing: t0, value: away}, timeout: 10s, undo: {uses: set, with: {thing: t0, value: home}, timeout: 10s}}
  - {name: s1, kind: action, uses: set, with: {thing: t1, value: away}, timeout: 10s, undo: {uses: set, with: {thing: t1, value: home}, timeout: 10s}}
  - {name: look, kind: check, uses: is, with: {thing: ready}, timeout: 10s}
  - {name: s2, kind: action, uses: set, with: {thing: t2, value: away}, timeout: 10s, undo: {uses: set, with: {thing: t2, value: home}, timeout: 10s}}
  - {name: s3, kind: action, uses: set, with: {thing: t3, value: away}, timeout: 10s, on_failure: undo}
`

// queue is the journal of a real NATS server.
func queue(t testing.TB) Journal {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Options{URL: natstest.Start(t).ClientURL(), Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := bus.Provision(t.Context(), c, bus.ProvisionOptions{Regions: []string{"here"}}); err != nil {
		t.Fatal(err)
	}
	b, err := bus.Bind(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		t.Fatal(err)
	}
	return FromBus(store)
}

// gated is a journal whose every call goes through a gate.
type gated struct {
	j    Journal
	gate func(what string, do func()) error
}

func (g gated) Get(ctx context.Context, key string) (data []byte, revision uint64, err error) {
	gone := g.gate("get", func() { data, revision, err = g.j.Get(ctx, key) })
	return data, revision, errors.Join(gone, err)
}

func (g gated) Put(ctx context.Context, key string, data []byte, revision uint64) (written uint64, err error) {
	gone := g.gate("put", func() { written, err = g.j.Put(ctx, key, data, revision) })
	return written, errors.Join(gone, err)
}

func (g gated) Delete(ctx context.Context, key string, revision uint64) (err error) {
	gone := g.gate("delete", func() { err = g.j.Delete(ctx, key, revision) })
	return errors.Join(gone, err)
}

func (g gated) Keys(ctx context.Context, prefix string) (keys []string, err error) {
	gone := g.gate("keys", func() { keys, err = g.j.Keys(ctx, prefix) })
	return keys, errors.Join(gone, err)
}

func TestJournalOnTheQueue(t *testing.T) {
	t.Parallel()
	j := queue(t)
	ctx := t.Context()
	if _, _, err := j.Get(ctx, "plan.execution.x"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Get of nothing: %v", err)
	}
	one, err := j.Put(ctx, "plan.execution.x", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Put(ctx, "plan.execution.x", []byte("2"), 0); !errors.Is(err, ErrConflict) {
		t.Errorf("second creation: %v", err)
	}
	if _, err := j.Put(ctx, "plan.execution.x", []byte("2"), one+1); !errors.Is(err, ErrConflict) {
		t.Errorf("wrong revision: %v", err)
	}
	if two, err := j.Put(ctx, "plan.execution.x", []byte("2"), one); err != nil || two <= one {
		t.Errorf("Put = %d, %v", two, err)
	}
	if _, err := j.Put(ctx, "plan.board", []byte("b"), 0); err != nil {
		t.Fatal(err)
	}
	if keys, err := j.Keys(ctx, executionPrefix); err != nil || len(keys) != 1 || keys[0] != "plan.execution.x" {
		t.Errorf("Keys = %v, %v", keys, err)
	}
}

// TestLeaderKilledAtEveryCallOnTheQueue is TestLeaderKilledAtEveryCall with the
// journal in a real server.
func TestLeaderKilledAtEveryCallOnTheQueue(t *testing.T) {
	t.Parallel()
	j := queue(t)
	for _, fails := range []bool{false, true} {
		most := 1
		for cut := 0; cut <= most; cut++ {
			for _, after := range []bool{false, true} {
				w := newWorld()
				want := StateCommitted
				if fails {
					w.fails["t3"], want = 100, StateRolledBack
				}
				calls := 0
				run := func(epoch uint64, id string, cut int) (Execution, error) {
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					calls = 0
					gone := false
					gate := func(_ string, do func()) error {
						if gone {
							return errGone
						}
						calls++
						if calls != cut || after {
							do()
						}
						if calls == cut {
							gone = true
							cancel(errGone)
							return errGone
						}
						return nil
					}
					x := node{w: w, gate: gate}.executor(t, func(o *Options) { o.Journal = gated{j, gate} })
					if id == "" {
						e, err := node{w: w}.executor(t, func(o *Options) { o.Journal = j }).Start(ctx, epoch, Order{Plan: load(t, quick), Trigger: ByHand})
						if err != nil {
							t.Fatal(err)
						}
						id = e.ID
					}
					return x.Run(ctx, epoch, id)
				}
				// Epochs grow over the whole test, as the revisions of a lease do.
				base := uint64(1000*cut) + 10
				if fails {
					base += 1_000_000
				}
				if after {
					base += 500
				}
				e, err := run(base, "", cut)
				if cut == 0 {
					most = calls
				}
				if err != nil {
					if !errors.Is(err, errGone) {
						t.Fatal(err)
					}
					if e.ID == "" {
						e.ID = latest(t, j)
					}
					if e, err = run(base+1, e.ID, 0); err != nil {
						t.Fatalf("cut at %d (after: %v): the next leader: %v", cut, after, err)
					}
				}
				if err := w.check(&e); err != nil || e.State != want {
					t.Fatalf("cut at %d (after: %v): %s, %v", cut, after, e.State, err)
				}
			}
		}
		if most < 15 {
			t.Errorf("only %d calls were cut", most)
		}
	}
}

// latest is the execution that was begun last.
func latest(t *testing.T, j Journal) string {
	t.Helper()
	all, err := node{w: newWorld()}.executor(t, func(o *Options) { o.Journal = j }).List(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	return all[0].ID
}

// move is one call of an action in a history.
type move struct {
	// ask is a call of Done, else of Do.
	ask   bool
	epoch uint64
	step  int
}

// answer is what the action said.
type answer struct {
	fenced, done bool
	// unknown: the process died and nobody heard.
	unknown bool
}

// ledger is what a fenced resource may do: its epoch never falls, and each step takes
// effect once, in order.
type ledger struct {
	epoch uint64
	steps int
}

// resourceModel judges whether a history of calls could have come from steps that
// took effect one after the other, each once, under epochs that never fall.
func resourceModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return ledger{} },
		Step: func(state, input, output any) (bool, any) {
			s, in, out := state.(ledger), input.(move), output.(answer)
			switch {
			case out.unknown:
				// Calls nobody heard of are left out of the history when they did not
				// happen, so this one did.
				if in.epoch < s.epoch {
					return true, s
				}
			case out.fenced:
				return in.epoch < s.epoch, s
			case in.epoch < s.epoch:
				return false, s
			}
			s.epoch = max(s.epoch, in.epoch)
			if in.ask {
				return out.unknown || out.done == (s.steps > in.step), s
			}
			if in.step != s.steps {
				return false, s
			}
			s.steps++
			return true, s
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// TestLeadersRaceOnTheQueue lets leaders that do not know of each other run one
// execution at the same time, against a real server, dying here and there. The
// history of what they did to the resource must be one in which every step took
// effect once, in order, under epochs that never fall.
func TestLeadersRaceOnTheQueue(t *testing.T) {
	t.Parallel()
	j := queue(t)
	for round := range 12 {
		w := newWorld()
		start := node{w: w}.executor(t, func(o *Options) { o.Journal = j })
		e, err := start.Start(t.Context(), uint64(round*100+1), Order{Plan: load(t, quick), Trigger: ByHand})
		if err != nil {
			t.Fatal(err)
		}
		h := &history{began: time.Now(), world: w}
		var racing sync.WaitGroup
		for i := range 4 {
			racing.Go(func() {
				time.Sleep(time.Duration(i) * time.Duration(rand.IntN(8)) * time.Millisecond)
				h.lead(t, j, uint64(round*100+10*(i+1)), e.ID, i < 3)
			})
		}
		racing.Wait()
		final, err := start.Find(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.check(&final); err != nil || final.State != StateCommitted {
			t.Fatalf("round %d: %s, %v", round, final.State, err)
		}
		if result := porcupine.CheckOperationsTimeout(resourceModel(), h.operations, time.Minute); result != porcupine.Ok {
			t.Fatalf("round %d: the history is %s:\n%+v", round, result, h.operations)
		}
		if len(h.operations) < 4 {
			t.Fatalf("only %d calls in the history", len(h.operations))
		}
	}
}

// history records what leaders do to one resource that all steps share.
type history struct {
	world *world
	began time.Time
	ids   atomic.Int64

	mu         sync.Mutex
	ledger     ledger
	operations []porcupine.Operation
}

// call does what a move asks of the resource, and records it.
func (h *history) call(client int, m move, dies bool) (answer, bool) {
	called := time.Since(h.began).Nanoseconds()
	time.Sleep(time.Duration(rand.IntN(1500)) * time.Microsecond)
	h.mu.Lock()
	var out answer
	switch {
	case m.epoch < h.ledger.epoch:
		out.fenced = true
	case m.ask:
		h.ledger.epoch = m.epoch
		out.done = h.ledger.steps > m.step
	default:
		h.ledger.epoch = m.epoch
		h.ledger.steps++
		h.world.mu.Lock()
		h.world.effects = append(h.world.effects, effect{epoch: m.epoch, token: fmt.Sprint(m.step)})
		h.world.mu.Unlock()
	}
	h.mu.Unlock()
	time.Sleep(time.Duration(rand.IntN(1500)) * time.Microsecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	out.unknown = dies && !out.fenced
	h.operations = append(h.operations, porcupine.Operation{
		ClientId: client, Input: m, Call: called, Output: out, Return: time.Since(h.began).Nanoseconds(),
	})
	return out, dies
}

// lead runs an execution as a leader that may die at any of its calls.
func (h *history) lead(t *testing.T, j Journal, epoch uint64, id string, mortal bool) {
	client := int(h.ids.Add(1))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	dies := func() bool { return mortal && rand.IntN(12) == 0 }
	gate := func(_ string, do func()) error {
		if ctx.Err() != nil {
			return errGone
		}
		do()
		if dies() {
			cancel(errGone)
			return errGone
		}
		return nil
	}
	act := func(ask bool) func(c Call) (answer, error) {
		return func(c Call) (answer, error) {
			var step int
			if _, err := fmt.Sscanf(c.Text("thing"), "t%d", &step); err != nil {
				return answer{}, err
			}
			out, dead := h.call(client, move{ask: ask, epoch: c.Epoch, step: step}, dies())
			switch {
			case dead:
				cancel(errGone)
				return out, errGone
			case out.fenced:
				return out, ErrFenced
			}
			return out, nil
		}
	}
	x := node{w: h.world}.executor(t, func(o *Options) {
		o.Journal, o.Node = gated{j, gate}, fmt.Sprintf("n%d", epoch)
		err := o.Registry.BindAction("set", ActionFuncs{
			Does:   func(_ context.Context, c Call) (string, error) { _, err := act(false)(c); return "", err },
			IsDone: func(_ context.Context, c Call) (bool, error) { out, err := act(true)(c); return out.done, err },
		})
		if err != nil {
			t.Error(err)
		}
	})
	_, err := x.Run(ctx, epoch, id)
	if err != nil && !errors.Is(err, ErrFenced) && !errors.Is(err, errGone) {
		t.Errorf("leader of epoch %d: %v", epoch, err)
	}
}
