package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"mahavishnu/fault"
)

// Standing is how a protected thing stands.
type Standing struct {
	Thing string `json:"thing"`
	// Holder is the execution that holds it, "" for none.
	Holder string `json:"holder,omitempty"`
	// Plan is the holder's.
	Plan string `json:"plan,omitempty"`
	// Returning is set while a failback holds it.
	Returning bool `json:"returning,omitempty"`
	// Away is the committed execution that it has not come back from.
	Away string `json:"away,omitempty"`
	// Automatic are the last executions that took it by themselves, the oldest first.
	Automatic []Run `json:"runs,omitempty"`
	// Idle is when an automatic execution last ended without having changed anything.
	Idle time.Time `json:"idle,omitzero"`
}

// board is who holds what: one key, so that taking several things is one write.
type board struct {
	// Epoch is the highest of the leaders that wrote here.
	Epoch  uint64              `json:"epoch"`
	Things map[string]Standing `json:"things"`
}

// maxAutomatic is how many automatic executions of a thing are remembered.
const maxAutomatic = 100

// idlePause is how long after an automatic execution that changed nothing, because a
// check did not hold, the next may start. It is short: the fault may be real now.
const idlePause = 5 * time.Second

func (x *Executor) readBoard(ctx context.Context) (board, uint64, error) {
	b := board{Things: map[string]Standing{}}
	data, revision, err := x.o.Journal.Get(ctx, boardKey)
	switch {
	case errors.Is(err, ErrNotFound):
		return b, 0, nil
	case err != nil:
		return b, 0, fault.New("read", boardKey, err, "")
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return b, 0, fault.New("read", boardKey, err, "it was written by a newer version, or is damaged")
	}
	if b.Things == nil {
		b.Things = map[string]Standing{}
	}
	return b, revision, nil
}

// changeBoard writes what fn makes of the board, unless a leader with a higher epoch
// has written there.
func (x *Executor) changeBoard(ctx context.Context, epoch uint64, fn func(*board) error) error {
	for range maxConflicts {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		b, revision, err := x.readBoard(ctx)
		if err != nil {
			return err
		}
		if b.Epoch > epoch {
			return fenced(boardKey, epoch, b.Epoch, "a leader")
		}
		if err := fn(&b); err != nil {
			return err
		}
		b.Epoch = epoch
		data, err := json.Marshal(b)
		if err != nil {
			return fault.New("write", boardKey, err, "")
		}
		_, err = x.o.Journal.Put(ctx, boardKey, data, revision)
		if !errors.Is(err, ErrConflict) {
			if err != nil {
				err = fault.New("write", boardKey, err, "")
			}
			return err
		}
	}
	return fault.New("write", boardKey, ErrConflict, "")
}

// Ascend makes the board this leader's: one with a lower epoch, which does not know
// yet that it has lost the lease, can begin nothing from then on.
func (x *Executor) Ascend(ctx context.Context, epoch uint64) error {
	return x.changeBoard(ctx, epoch, func(*board) error { return nil })
}

// take holds everything that an execution protects, or nothing. Holding it already
// is holding it.
func (x *Executor) take(ctx context.Context, epoch uint64, e *Execution) error {
	return x.changeBoard(ctx, epoch, func(b *board) error { return b.take(e, x.now()) })
}

// take is Executor.take on the board alone.
func (b *board) take(e *Execution, now time.Time) error {
	for _, thing := range e.Things {
		s := b.Things[thing]
		if s.Holder == e.ID {
			continue
		}
		if s.Holder != "" {
			return fault.New("begin plan", e.Plan.Name, fmt.Errorf("%w: %s holds %s", ErrBusy, s.Holder, thing),
				"mahavishnu failover journal\napprove it when it waits for that, or roll it back: mahavishnu failover rollback "+s.Holder+"\ncommit it when it is done: mahavishnu failover commit "+s.Holder)
		}
		if e.Trigger == Automatic {
			next := e.run(now)
			if err := e.Plan.Limits.allow(s, next); err != nil {
				return fault.New("begin plan", e.Plan.Name, err, "a person may: mahavishnu failover execute "+e.Plan.Name)
			}
			s.Automatic = append(s.Automatic, next)
			s.Automatic = s.Automatic[max(0, len(s.Automatic)-maxAutomatic):]
		}
		s.Thing, s.Holder, s.Plan, s.Returning = thing, e.ID, e.Plan.Name, e.Plan.Returns
		b.Things[thing] = s
	}
	return nil
}

// release lets go of what an execution that has ended holds.
func (x *Executor) release(ctx context.Context, epoch uint64, e *Execution) error {
	held, err := x.holders(ctx)
	if err != nil || !slices.Contains(held, e.ID) {
		return err
	}
	return x.changeBoard(ctx, epoch, func(b *board) error {
		for _, thing := range e.Things {
			s := b.Things[thing]
			if s.Holder != e.ID {
				continue
			}
			s.Holder, s.Plan, s.Returning = "", "", false
			if last := len(s.Automatic) - 1; e.Trigger == Automatic && last >= 0 {
				if e.State != StateCommitted && !e.changed() {
					// It does not count: a real fault a moment later must not wait for it.
					s.Automatic, s.Idle = s.Automatic[:last], x.now()
				} else {
					s.Automatic[last].Worked = e.worked()
				}
			}
			switch {
			case e.State != StateCommitted:
			case e.Plan.Returns:
				s.Away = ""
			case e.Plan.Failback != "" && !e.inPlace():
				s.Away = e.ID
			}
			b.Things[thing] = s
		}
		return nil
	})
}

// holders lists the executions that hold something.
func (x *Executor) holders(ctx context.Context) ([]string, error) {
	b, _, err := x.readBoard(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range b.Things {
		if s.Holder != "" {
			ids = append(ids, s.Holder)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Standings tells how everything stands that a plan ever protected.
func (x *Executor) Standings(ctx context.Context) ([]Standing, error) {
	b, _, err := x.readBoard(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Standing, 0, len(b.Things))
	for _, thing := range sorted(b.Things) {
		all = append(all, b.Things[thing])
	}
	return all, nil
}

// Away finds the execution to go back from: the one that is named, or the only one that
// anything is away by.
func (x *Executor) Away(ctx context.Context, id string) (Execution, error) {
	if id != "" {
		return x.Find(ctx, id)
	}
	standings, err := x.Standings(ctx)
	if err != nil {
		return Execution{}, err
	}
	var ids []string
	for _, s := range standings {
		if s.Away != "" && !slices.Contains(ids, s.Away) {
			ids = append(ids, s.Away)
		}
	}
	switch len(ids) {
	case 0:
		return Execution{}, fault.New("failback", "", fmt.Errorf("%w: everything is where it belongs", ErrRefused), "mahavishnu failover journal")
	case 1:
		return x.Find(ctx, ids[0])
	}
	return Execution{}, fault.New("failback", "", fmt.Errorf("%w: %d executions can be gone back from", ErrRefused, len(ids)), "name one: mahavishnu failover failback "+ids[0])
}
