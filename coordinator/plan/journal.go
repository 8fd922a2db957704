package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/fault"
)

// Journal keeps small values, changed by compare-and-set. What Put acknowledged
// survives; what it did not acknowledge may have been written or not.
type Journal interface {
	// Get returns what a key holds, or [ErrNotFound].
	Get(ctx context.Context, key string) (data []byte, revision uint64, err error)
	// Put writes a key whose revision is still the one given, 0 for one that does
	// not exist, or returns [ErrConflict].
	Put(ctx context.Context, key string, data []byte, revision uint64) (uint64, error)
	// Delete removes a key whose revision is still the one given, or returns
	// [ErrConflict].
	Delete(ctx context.Context, key string, revision uint64) error
	// Keys lists the keys that begin with a prefix, which ends in a dot.
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// Keys of the journal.
const (
	executionPrefix  = "plan.execution."
	evaluationPrefix = "plan.evaluation."
	boardKey         = "plan.board"
)

// maxConflicts is how often a write is repeated because of another writer of the
// same leader; there are never that many.
const maxConflicts = 50

// record is an execution as it was when it was last read or written, by a leader.
type record struct {
	x        *Executor
	epoch    uint64
	exec     Execution
	revision uint64
}

// read fetches an execution without claiming it.
func (x *Executor) read(ctx context.Context, id string) (Execution, uint64, error) {
	data, revision, err := x.o.Journal.Get(ctx, executionPrefix+id)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			return Execution{}, 0, fault.New("find execution", id, ErrNotFound, "mahavishnu failover journal")
		}
		return Execution{}, 0, fault.New("read execution", id, err, "")
	}
	e, err := decodeExecution(data)
	if err != nil {
		return e, 0, fault.New("read execution", id, err, "it was written by a newer version, or is damaged")
	}
	return e, revision, nil
}

// claim makes an execution this leader's: from the acknowledged write on, no leader
// with a lower epoch can write.
func (x *Executor) claim(ctx context.Context, id string, epoch uint64) (*record, error) {
	r := &record{x: x, epoch: epoch, exec: Execution{ID: id}}
	if err := r.reload(ctx); err != nil {
		return nil, err
	}
	if r.exec.Epoch == epoch || r.exec.State.Final() {
		return r, nil
	}
	return r, r.change(ctx, func(*Execution) error { return nil })
}

// reload reads the record again. A higher epoch in it fences this leader.
func (r *record) reload(ctx context.Context) error {
	e, revision, err := r.x.read(ctx, r.exec.ID)
	if err != nil {
		return err
	}
	if e.Epoch > r.epoch {
		return fenced(r.exec.ID, r.epoch, e.Epoch, e.Leader)
	}
	r.exec, r.revision = e, revision
	return nil
}

func fenced(object string, own, other uint64, leader string) error {
	return fault.New("carry out plan", object, fmt.Errorf("%w: %s with epoch %d, above %d", ErrFenced, leader, other, own), "")
}

// change writes what fn makes of the record. Another writer of the same leader, an
// approval for one, is no obstacle: fn is asked again about what that one wrote. A
// leader with a higher epoch ends it with [ErrFenced].
func (r *record) change(ctx context.Context, fn func(*Execution) error) error {
	for range maxConflicts {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		next := r.exec.clone()
		if err := fn(&next); err != nil {
			return err
		}
		next.Epoch, next.Leader, next.Updated = r.epoch, r.x.o.Node, r.x.now()
		data, err := json.Marshal(next)
		if err != nil {
			return fault.New("write execution", next.ID, err, "")
		}
		revision, err := r.x.o.Journal.Put(ctx, executionPrefix+next.ID, data, r.revision)
		if err == nil {
			before := r.exec
			r.exec, r.revision = next, revision
			r.x.tellChange(before, next)
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return fault.New("write execution", next.ID, err, "")
		}
		if err := r.reload(ctx); err != nil {
			return err
		}
	}
	return fault.New("write execution", r.exec.ID, ErrConflict, "")
}

// Find returns an execution: by its id, or by a part of one that no other has.
func (x *Executor) Find(ctx context.Context, id string) (Execution, error) {
	e, _, err := x.read(ctx, id)
	if !errors.Is(err, ErrNotFound) {
		return e, err
	}
	keys, listErr := x.o.Journal.Keys(ctx, executionPrefix)
	if listErr != nil {
		return e, fault.New("list executions", "", listErr, "")
	}
	var fits []string
	for _, key := range keys {
		if name := strings.TrimPrefix(key, executionPrefix); strings.HasPrefix(name, id) || strings.HasSuffix(name, id) {
			fits = append(fits, name)
		}
	}
	switch len(fits) {
	case 0:
		return e, err
	case 1:
		e, _, err = x.read(ctx, fits[0])
		return e, err
	}
	return e, fault.New("find execution", id, fmt.Errorf("%d executions fit", len(fits)), "give more of the id")
}

// List returns all executions, the newest first.
func (x *Executor) List(ctx context.Context) ([]Execution, error) {
	keys, err := x.o.Journal.Keys(ctx, executionPrefix)
	if err != nil {
		return nil, fault.New("list executions", "", err, "")
	}
	all := make([]Execution, 0, len(keys))
	for _, key := range keys {
		e, _, err := x.read(ctx, strings.TrimPrefix(key, executionPrefix))
		switch {
		case errors.Is(err, ErrNotFound): // forgotten a moment ago
		case err != nil:
			return nil, err
		default:
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Execution) int { return b.Created.Compare(a.Created) })
	return all, nil
}

// Unfinished lists the executions that a new leader has to go on with, the oldest
// first. Those that wait for a person's decision are not among them.
func (x *Executor) Unfinished(ctx context.Context) ([]string, error) {
	all, err := x.List(ctx)
	if err != nil {
		return nil, err
	}
	held, err := x.holders(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range slices.Backward(all) {
		// One that ended while its leader died may still hold what it protects.
		if !e.State.Final() && e.State != StateStopped || e.State.Final() && slices.Contains(held, e.ID) {
			ids = append(ids, e.ID)
		}
	}
	return ids, nil
}
