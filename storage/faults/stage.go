package faults

import (
	"cmp"
	"context"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"sync"

	"mahavishnu/storage"
)

// Stage lets actors, each a process that works on one storage, go on one
// operation at a time, in an order that the test decides: every actor waits before
// each of its operations until it is let go. So any interleaving that a storage
// can show can be played, and played again.
//
// Use it inside a testing/synctest bubble: after synctest.Wait every actor has
// ended, waits for the time to pass, or is among [Stage.Waiting].
type Stage struct {
	mu      sync.Mutex
	actors  int
	waiting []*Step
	torn    uint64
}

// Step is an operation that an actor is about to do.
type Step struct {
	Actor *Actor
	Op    Op
	Name  string // of the object; of a listing, the prefix; of a sync, the first object
	turn  chan verdict
}

type verdict struct {
	err error
	do  bool
}

// Actor is a backend as one process sees it.
type Actor struct {
	// Name is for people.
	Name string

	stage  *Stage
	number int
	inner  storage.Backend

	mu   sync.Mutex
	dead bool
}

var _ storage.Backend = (*Actor)(nil)

// NewStage returns a stage without actors.
func NewStage() *Stage { return &Stage{} }

// Actor returns the view of inner of one more process.
func (s *Stage) Actor(name string, inner storage.Backend) *Actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actors++
	return &Actor{Name: name, stage: s, number: s.actors, inner: inner}
}

// Waiting returns the operations that wait to be let go: those of one actor next
// to each other, otherwise in an order that does not depend on chance.
func (s *Stage) Waiting() []*Step {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.waiting, func(a, b *Step) int {
		return cmp.Or(cmp.Compare(a.Actor.number, b.Actor.number), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Name, b.Name))
	})
	return slices.Clone(s.waiting)
}

// WaitingOf returns those of one actor.
func (s *Stage) WaitingOf(a *Actor) []*Step {
	return slices.DeleteFunc(s.Waiting(), func(step *Step) bool { return step.Actor != a })
}

// Go lets the operation be done.
func (step *Step) Go() { step.decide(verdict{do: true}) }

// Refuse lets it fail with err and without effect.
func (step *Step) Refuse(err error) { step.decide(verdict{err: err}) }

// Lose lets it be done and its answer be lost: the actor sees err.
func (step *Step) Lose(err error) { step.decide(verdict{err: err, do: true}) }

func (step *Step) decide(v verdict) {
	s := step.Actor.stage
	s.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *Step) bool { return other == step })
	s.mu.Unlock()
	step.turn <- v
}

// Kill ends the actor's process: what it waits for and every later operation
// fails with ErrStopped and has no effect.
func (a *Actor) Kill() {
	a.mu.Lock()
	a.dead = true
	a.mu.Unlock()
	for _, step := range a.stage.WaitingOf(a) {
		step.Refuse(ErrStopped)
	}
}

// Dead tells whether the actor was killed.
func (a *Actor) Dead() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dead
}

// turn waits until the operation may be done. With done the caller does it and
// then returns the error, if there is one, in place of its own result.
func (a *Actor) turn(ctx context.Context, op Op, name string) (lost, err error) {
	fail := func(err error) error { return &storage.Error{Op: string(op), Object: name, Err: err} }
	if a.Dead() {
		return nil, fail(ErrStopped)
	}
	step := &Step{Actor: a, Op: op, Name: name, turn: make(chan verdict, 1)}
	a.stage.mu.Lock()
	a.stage.waiting = append(a.stage.waiting, step)
	a.stage.mu.Unlock()
	var v verdict
	select {
	case v = <-step.turn:
	case <-ctx.Done():
		a.stage.mu.Lock()
		a.stage.waiting = slices.DeleteFunc(a.stage.waiting, func(other *Step) bool { return other == step })
		a.stage.mu.Unlock()
		return nil, fail(context.Cause(ctx))
	}
	switch {
	case !v.do:
		return nil, fail(v.err)
	case v.err != nil:
		return fail(v.err), nil
	}
	return nil, nil
}

// Put stores an object when it is its turn.
func (a *Actor) Put(ctx context.Context, name string, data []byte, o storage.PutOptions) error {
	lost, err := a.turn(ctx, Put, name)
	if err == nil {
		err = a.inner.Put(ctx, name, data, o)
	}
	return cmp.Or(lost, err)
}

// Delete removes an object when it is its turn.
func (a *Actor) Delete(ctx context.Context, name string) error {
	lost, err := a.turn(ctx, Delete, name)
	if err == nil {
		err = a.inner.Delete(ctx, name)
	}
	return cmp.Or(lost, err)
}

// Sync makes objects durable when it is its turn.
func (a *Actor) Sync(ctx context.Context, names []string) error {
	first := ""
	if len(names) > 0 {
		first = names[0]
	}
	lost, err := a.turn(ctx, Sync, first)
	if err == nil {
		err = a.inner.Sync(ctx, names)
	}
	return cmp.Or(lost, err)
}

// Get reads an object when it is its turn.
func (a *Actor) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	lost, err := a.turn(ctx, Get, name)
	if err = cmp.Or(lost, err); err != nil {
		return nil, err
	}
	return a.inner.Get(ctx, name, offset, length)
}

// Stat describes an object when it is its turn.
func (a *Actor) Stat(ctx context.Context, name string) (storage.Info, error) {
	lost, err := a.turn(ctx, Stat, name)
	if err = cmp.Or(lost, err); err != nil {
		return storage.Info{}, err
	}
	return a.inner.Stat(ctx, name)
}

// List takes two turns, when it begins and when it ends. An object that is put or
// deleted between them may be listed or not, as [Stage.Torn] says.
func (a *Actor) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	var seen [2]map[string]storage.Info
	for i := range seen {
		lost, err := a.turn(ctx, List, prefix)
		if err = cmp.Or(lost, err); err != nil {
			return err
		}
		seen[i] = map[string]storage.Info{}
		err = a.inner.List(ctx, prefix, func(info storage.Info) error {
			seen[i][info.Name] = info
			return nil
		})
		if err != nil {
			return err
		}
	}
	for name, info := range seen[0] {
		if _, still := seen[1][name]; !still && a.stage.listed(name) {
			seen[1][name] = info
		}
	}
	for _, name := range slices.Sorted(maps.Keys(seen[1])) {
		if _, before := seen[0][name]; !before && !a.stage.listed(name) {
			continue
		}
		if err := fn(seen[1][name]); err != nil {
			return err
		}
	}
	return nil
}

// listed decides about an object that came or went while it was listed.
func (s *Stage) listed(name string) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	s.mu.Lock()
	defer s.mu.Unlock()
	return (h.Sum64()^s.torn)*0x9e3779b97f4a7c15>>63 == 0
}

// Torn chooses anew which objects that come or go during a listing are listed.
func (s *Stage) Torn(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.torn = seed
}

// Location is that of the wrapped backend.
func (a *Actor) Location() string { return a.inner.Location() }

// Close leaves the wrapped backend open: other actors use it.
func (a *Actor) Close() error { return nil }
