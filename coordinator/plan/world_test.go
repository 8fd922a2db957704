package plan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/messages/natsserver/natstest"
)

func TestMain(m *testing.M) {
	natstest.Main()
	goleak.VerifyTestMain(m)
}

// errGone is the end of a process in these tests.
var errGone = errors.New("the process is gone")

// world is everything outside of leaders: the journal, and things that actions set
// to values. A thing refuses an epoch below the highest it has seen.
type world struct {
	mu       sync.Mutex
	keys     map[string]stored
	revision uint64
	things   map[string]*thing
	effects  []effect
	// fails makes actions on a thing fail: so many times before they take effect,
	// and so many times although they did.
	fails, lies map[string]int
	// stuck are things of which a look says that nothing can be done about them.
	stuck map[string]bool
	// truth is what conditions say, by thing; missing ones hold.
	truth map[string]bool
	// outcomes of every call of Do and Done, for a model to judge.
	writes []string
}

type stored struct {
	data     []byte
	revision uint64
}

type thing struct {
	value string
	epoch uint64
}

// effect is something that really happened.
type effect struct {
	epoch uint64
	token string
	thing string
	value string
}

func newWorld() *world {
	return &world{
		keys: map[string]stored{}, things: map[string]*thing{},
		fails: map[string]int{}, lies: map[string]int{}, truth: map[string]bool{}, stuck: map[string]bool{},
	}
}

// at returns a thing; the lock is held.
func (w *world) at(name string) *thing {
	if w.things[name] == nil {
		w.things[name] = &thing{value: "home"}
	}
	return w.things[name]
}

func (w *world) value(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at(name).value
}

// node is one leader's process. Every call to the outside goes through gate, which
// may let it through, or end the process before or after it.
type node struct {
	w    *world
	gate func(what string, do func()) error
}

func (n node) call(what string, do func()) error {
	locked := func() {
		n.w.mu.Lock()
		defer n.w.mu.Unlock()
		do()
	}
	if n.gate == nil {
		locked()
		return nil
	}
	return n.gate(what, locked)
}

func (n node) Get(_ context.Context, key string) (data []byte, revision uint64, err error) {
	gone := n.call("get "+key, func() {
		s, ok := n.w.keys[key]
		if !ok {
			err = ErrNotFound
			return
		}
		data, revision = bytes.Clone(s.data), s.revision
	})
	return data, revision, errors.Join(gone, err)
}

func (n node) Put(_ context.Context, key string, data []byte, revision uint64) (written uint64, err error) {
	gone := n.call("put "+key, func() {
		if n.w.keys[key].revision != revision {
			err = fmt.Errorf("%w: %s", ErrConflict, key)
			return
		}
		n.w.revision++
		written = n.w.revision
		n.w.keys[key] = stored{bytes.Clone(data), written}
		n.w.writes = append(n.w.writes, key)
	})
	return written, errors.Join(gone, err)
}

func (n node) Delete(_ context.Context, key string, revision uint64) (err error) {
	gone := n.call("delete "+key, func() {
		if n.w.keys[key].revision != revision {
			err = fmt.Errorf("%w: %s", ErrConflict, key)
			return
		}
		delete(n.w.keys, key)
	})
	return errors.Join(gone, err)
}

func (n node) Keys(_ context.Context, prefix string) (keys []string, err error) {
	gone := n.call("keys "+prefix, func() {
		for key := range n.w.keys {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
	})
	slices.Sort(keys)
	return keys, gone
}

// set is the one action there is: a thing becomes a value.
func (n node) set() Action {
	return ActionFuncs{
		Checks: func(_ context.Context, c Call) (_ string, err error) {
			gone := n.call("check "+c.Text("thing"), func() {
				if n.w.stuck[c.Text("thing")] {
					err = errors.New("nobody hears of it")
				}
			})
			return "", errors.Join(gone, err)
		},
		Does: func(_ context.Context, c Call) (_ string, err error) {
			name, value := c.Text("thing"), c.Text("value")
			gone := n.call("do "+c.Token, func() {
				t := n.w.at(name)
				if c.Epoch < t.epoch {
					err = fmt.Errorf("%s: %w", name, ErrFenced)
					return
				}
				t.epoch = c.Epoch
				if n.w.fails[name] > 0 {
					n.w.fails[name]--
					err = errors.New("it would not")
					return
				}
				t.value = value
				n.w.effects = append(n.w.effects, effect{c.Epoch, c.Token, name, value})
				if n.w.lies[name] > 0 {
					n.w.lies[name]--
					err = errors.New("the answer was lost")
				}
			})
			return "set", errors.Join(gone, err)
		},
		IsDone: func(_ context.Context, c Call) (done bool, err error) {
			name := c.Text("thing")
			gone := n.call("done? "+c.Token, func() {
				t := n.w.at(name)
				if c.Epoch < t.epoch {
					err = fmt.Errorf("%s: %w", name, ErrFenced)
					return
				}
				t.epoch = c.Epoch
				done = t.value == c.Text("value")
			})
			return done, errors.Join(gone, err)
		},
	}
}

// is is the one condition.
func (n node) is() Condition {
	return ConditionFunc(func(_ context.Context, c Call) (holds bool, seen string, err error) {
		err = n.call("is "+c.Text("thing"), func() {
			told, ok := n.w.truth[c.Text("thing")]
			holds = told || !ok
		})
		return holds, "looked at " + c.Text("thing"), err
	})
}

// testRegistry knows the action and the condition of a world.
func testRegistry() *Registry {
	r := NewRegistry()
	name := Param{Name: "thing", Type: TypeText, About: "what"}
	r.Define(Definition{
		Name: "set", Changes: true, Summary: "Set $thing to $value.", ByHand: "Set it.",
		Params: []Param{name, {Name: "value", Type: TypeText, About: "to what"}},
	})
	r.Define(Definition{Name: "is", Summary: "$thing is so.", Params: []Param{name}})
	return r
}

// executor is a leader's process in a world.
func (n node) executor(t testing.TB, change ...func(*Options)) *Executor {
	t.Helper()
	r := testRegistry()
	if err := errors.Join(r.BindAction("set", n.set()), r.BindCondition("is", n.is())); err != nil {
		t.Fatal(err)
	}
	o := Options{Journal: n, Registry: r, Node: "n1"}
	for _, c := range change {
		c(&o)
	}
	x, err := NewExecutor(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// load reads a plan that must be good.
func load(t testing.TB, text string) *Plan {
	t.Helper()
	p, err := Load("test.yaml", []byte(text), testRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// whole is a plan with every kind of step.
const whole = `
name: whole
about: everything there is
protects: [everything]
window: 1h
parameters:
  value: {type: text, about: what things become, default: away}
steps:
  - {name: look, kind: check, uses: is, with: {thing: ready}, timeout: 1s}
  - name: one
    kind: action
    uses: set
    with: {thing: one, value: $value}
    timeout: 10s
    retries: 2
    undo: {uses: set, with: {thing: one, value: home}, timeout: 10s}
  - {name: rest, kind: wait, for: 10s}
  - {name: ask, kind: approve, timeout: 1h}
  - name: two
    kind: action
    uses: set
    with: {thing: two, value: $value}
    timeout: 10s
    undo: {uses: set, with: {thing: two, value: home}, timeout: 10s}
  - {name: until, kind: wait, uses: is, with: {thing: "two of $value"}, timeout: 1m, holds: 3}
  - name: three
    kind: action
    uses: set
    with: {thing: three, value: $value}
    timeout: 10s
    on_failure: undo
  - {name: prove, kind: probe, uses: is, with: {thing: proof}, timeout: 5s, retries: 1, on_failure: undo}
`

// approver is somebody who approves whatever is asked, at once.
func approver(t testing.TB) (PrivateKey, func(*Options), func(*Executor) func(Event)) {
	t.Helper()
	key, err := CreateKey(t.TempDir() + "/key")
	if err != nil {
		t.Fatal(err)
	}
	with := func(o *Options) { o.Approvers = map[string]PublicKey{"ann": key.Public()} }
	approves := func(x *Executor) func(Event) {
		return func(e Event) {
			if e.Kind != EventAsked {
				return
			}
			ctx := context.Background()
			asked, err := x.Find(ctx, e.Execution)
			if err != nil {
				return // the process is gone
			}
			q, ok := asked.Question()
			if !ok {
				return
			}
			a, err := Sign(q, "ann", key, x.now(), time.Minute)
			if err != nil {
				t.Error(err)
			}
			_, _ = x.Approve(ctx, asked.Epoch, asked.ID, a) // the process may be gone, or fenced
		}
	}
	return key, with, approves
}

// check looks at what must be so after any run, however leaders came and went.
func (w *world) check(e *Execution) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]bool{}
	var highest uint64
	for _, f := range w.effects {
		if seen[f.token] {
			return fmt.Errorf("%s took effect twice: %+v", f.token, w.effects)
		}
		seen[f.token] = true
		if f.epoch < highest {
			return fmt.Errorf("%s took effect under epoch %d after one of %d", f.token, f.epoch, highest)
		}
		highest = f.epoch
	}
	done := map[string]int{}
	var last uint64
	for i, entry := range e.Entries {
		key := fmt.Sprint(entry.Step, " ", entry.Undo)
		if entry.Outcome == OutcomeDone {
			done[key]++
		}
		switch {
		case entry.open():
			return fmt.Errorf("entry %d of %s was never closed", i, key)
		case done[key] > 1:
			return fmt.Errorf("%s is done twice: %+v", key, e.Entries)
		case entry.Epoch < last:
			return fmt.Errorf("entry %d has epoch %d after %d", i, entry.Epoch, last)
		case entry.Actor == "" || entry.Started.IsZero() || entry.Finished.Before(entry.Started):
			return fmt.Errorf("entry %d is not whole: %+v", i, entry)
		}
		last = entry.Epoch
	}
	return nil
}
