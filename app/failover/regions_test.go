package failover

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
)

// memoryStore is a bucket in memory.
type memoryStore struct {
	mu       sync.Mutex
	values   map[string]bus.Value
	revision uint64
	// meanwhile is called before each write, as somebody who is faster would act.
	meanwhile func()
}

func (s *memoryStore) Get(_ context.Context, key string) (bus.Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok {
		return v, bus.ErrNotFound
	}
	return v, nil
}

func (s *memoryStore) Create(_ context.Context, key string, data []byte) (uint64, error) {
	return s.write(key, data, 0, bus.ErrExists)
}

func (s *memoryStore) Update(_ context.Context, key string, data []byte, revision uint64) (uint64, error) {
	return s.write(key, data, revision, bus.ErrConflict)
}

func (s *memoryStore) write(key string, data []byte, revision uint64, conflict error) (uint64, error) {
	if first := s.meanwhile; first != nil {
		s.meanwhile = nil
		first()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[key].Revision != revision {
		return 0, conflict
	}
	s.revision++
	next := maps.Clone(s.values)
	if next == nil {
		next = map[string]bus.Value{}
	}
	next[key] = bus.Value{Key: key, Data: data, Revision: s.revision}
	s.values = next
	return s.revision, nil
}

// What a leader changed about a region stays, whoever asks again; a leader with a lower
// epoch is refused from the moment on that a higher one looked.
func TestRegionsRefuseOldLeaders(t *testing.T) {
	store := &memoryStore{}
	p := &Planner{regions: regionRecords{store, clock.System()}}
	actions := p.regionActions()
	call := func(epoch uint64, execution string) plan.Call {
		return plan.Call{Epoch: epoch, Execution: execution, Node: "n", Params: map[string]string{"region": "eu"}}
	}
	do := func(name string, c plan.Call) error {
		_, err := actions[name].Do(t.Context(), c)
		return err
	}
	is := func(name string, c plan.Call) bool {
		done, err := actions[name].Done(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if is("pause_schedules", call(7, "x")) || !is("resume_schedules", call(7, "x")) {
		t.Error("a region that nobody looked after is paused")
	}
	for range 2 {
		if err := do("pause_schedules", call(7, "x")); err != nil {
			t.Fatal(err)
		}
	}
	now, _, err := p.regions.read(t.Context(), "eu")
	if err != nil || now.Paused == nil || now.Paused.Execution != "x" || now.Epoch != 7 {
		t.Fatalf("%+v %v", now, err)
	}
	if !is("pause_schedules", call(9, "x")) { // the next leader goes on with the execution
		t.Error("it is not paused")
	}
	if err := do("resume_schedules", call(7, "x")); !errors.Is(err, plan.ErrFenced) {
		t.Errorf("the leader that was replaced resumed: %v", err)
	}
	if err := do("pause_schedules", call(8, "y")); !errors.Is(err, plan.ErrFenced) {
		t.Errorf("another old one paused: %v", err)
	}
	// Somebody else writes between reading and writing: nothing of it is lost.
	store.meanwhile = func() {
		if err := p.noteMoved(t.Context(), plan.Call{Epoch: 9, Params: map[string]string{"from": "eu"}}, move{"orders", "a", "b"}); err != nil {
			t.Error(err)
		}
	}
	if err := do("resume_schedules", call(9, "x")); err != nil {
		t.Fatal(err)
	}
	now, _, err = p.regions.read(t.Context(), "eu")
	if err != nil || now.Paused != nil || now.Services["orders"] != "a" {
		t.Fatalf("%+v %v", now, err)
	}
	if text := now.String(); !strings.Contains(text, "orders has left a") {
		t.Error(text)
	}
}

// nodes are a coordinator that sees nodes and nothing else.
type nodes struct {
	mu  sync.Mutex
	all []messages.NodeStatus
}

func (n *nodes) Status() messages.CoordinatorStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	return messages.CoordinatorStatus{Nodes: slices.Clone(n.all)}
}

func (n *nodes) Reacting(string) {}

func (n *nodes) see(all ...messages.NodeStatus) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = all
}

// Workers have moved when one of the other region says so, and are back when none of
// them still runs a job.
func TestWorkersMoveAndReturn(t *testing.T) {
	node := func(name, region, state string, serves ...string) messages.NodeStatus {
		return messages.NodeStatus{Node: name, Region: region, Roles: []string{"worker"}, Serves: serves, Seen: messages.Seen{State: state}}
	}
	eyes := &nodes{}
	p := &Planner{regions: regionRecords{&memoryStore{}, clock.System()}, clock: clock.System(), eyes: eyes, cfg: &config.Config{}}
	p.cfg.Backup.Replication.Regions = []config.RegionPair{{Primary: "eu", Secondary: "us"}}
	actions := p.regionActions()
	c := plan.Call{Epoch: 7, Execution: "x", Node: "n", Params: map[string]string{"from": "eu", "to": "us"}}

	eyes.see(node("eu-1", "eu", "down", "eu"), node("us-1", "us", "down", "us"))
	if _, err := actions["move_workers"].Check(t.Context(), c); err == nil {
		t.Error("a region without workers can take over")
	}
	eyes.see(node("eu-1", "eu", "down", "eu"), node("us-1", "us", "up", "us"))
	if seen, err := actions["move_workers"].Check(t.Context(), c); err != nil || !strings.Contains(seen, "us-1") {
		t.Errorf("%s %v", seen, err)
	}
	late, cancel := context.WithTimeoutCause(t.Context(), 150*time.Millisecond, plan.ErrTimeout)
	defer cancel()
	if _, err := actions["move_workers"].Do(late, c); !errors.Is(err, plan.ErrTimeout) {
		t.Errorf("nobody has taken over: %v", err)
	}
	eyes.see(node("eu-1", "eu", "down", "eu"), node("us-1", "us", "up", "eu", "us"))
	if text, err := actions["move_workers"].Do(t.Context(), c); err != nil || !strings.Contains(text, "us-1") {
		t.Errorf("%s %v", text, err)
	}
	if done, err := actions["move_workers"].Done(t.Context(), c); err != nil || !done {
		t.Errorf("it is not done: %v", err)
	}
	late, cancel = context.WithTimeoutCause(t.Context(), 300*time.Millisecond, plan.ErrTimeout)
	defer cancel()
	if _, err := actions["return_workers"].Do(late, c); !errors.Is(err, plan.ErrTimeout) || !strings.Contains(err.Error(), "us-1") {
		t.Errorf("us-1 still runs a job: %v", err)
	}
	eyes.see(node("eu-1", "eu", "up", "eu"), node("us-1", "us", "up", "us"))
	if _, err := actions["return_workers"].Do(t.Context(), c); err != nil {
		t.Error(err)
	}
	if done, err := actions["return_workers"].Done(t.Context(), c); err != nil || !done {
		t.Errorf("it is not done: %v", err)
	}
	c.Params = map[string]string{"from": "us", "to": "eu"}
	if seen, err := actions["move_workers"].Check(t.Context(), c); err != nil || !strings.Contains(seen, "no copies of us") {
		t.Errorf("workers without a repository: %s %v", seen, err)
	}
}

// A move goes on no longer than it is waited for.
func TestAMoveEndsWithItsLease(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the lease is lost"))
	if err := (&Planner{}).until(ctx, func() bool { return false }); err == nil {
		t.Error("a move goes on after its lease")
	}
}
