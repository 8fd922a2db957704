package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/fault"
)

// unit is a step, or its undoing, as something to be attempted.
type unit struct {
	step    Step
	undo    bool
	uses    string
	with    map[string]Value
	timeout time.Duration
	retries int
}

func doing(s Step) unit {
	return unit{step: s, uses: s.Uses, with: s.With, timeout: s.Timeout.Std(), retries: s.Retries}
}

func undoing(s Step) unit {
	return unit{step: s, undo: true, uses: s.Undo.Uses, with: s.Undo.With, timeout: s.Undo.Timeout.Std(), retries: s.Undo.Retries}
}

// unitOf finds the unit of an entry.
func (e *Execution) unitOf(entry Entry) (unit, error) {
	for _, s := range e.Steps() {
		if s.Name == entry.Step {
			if entry.Undo {
				return undoing(s), nil
			}
			return doing(s), nil
		}
	}
	return unit{}, fault.New("carry out plan", e.ID, fmt.Errorf("the journal tells of a step %q that the plan has not", entry.Step), "")
}

// changes reports whether the unit calls an action.
func (u unit) changes() bool { return u.undo || u.step.Kind == KindAction }

func (u unit) verb() string {
	if u.undo {
		return "undo"
	}
	return "do"
}

// call is what the unit's action or condition is told.
func (x *Executor) call(r *record, u unit) (Call, error) {
	d, ok := x.o.Registry.Lookup(u.uses)
	if !ok {
		return Call{}, fault.New("use", u.uses, ErrUnbound, "the plan was begun by a version that knows it")
	}
	params, err := d.complete(expandAll(u.with, r.exec.Params))
	if err != nil {
		return Call{}, err
	}
	return Call{
		Execution: r.exec.ID, Plan: r.exec.Plan.Name, Step: u.step.Name, Variant: r.exec.Variant, Undo: u.undo,
		Epoch: r.epoch, Attempt: r.exec.attempts(u.step.Name, u.undo), Timeout: u.timeout, Token: r.exec.ID + "/" + u.step.Name + "/" + u.verb(),
		Node: x.o.Node, Params: params,
	}, nil
}

// resolve deals with the one entry that was begun and not ended: its leader was lost.
// Of an action nobody knows whether it took effect but what it acts on.
func (x *Executor) resolve(ctx context.Context, r *record) error {
	i := r.exec.unfinished()
	u, err := r.exec.unitOf(r.exec.Entries[i])
	if err != nil {
		return err
	}
	if !u.changes() {
		return x.end(ctx, r, u, result{outcome: OutcomeInterrupted, output: "its leader was lost"})
	}
	done, err := x.done(ctx, r, u)
	switch {
	case fatal(ctx, err) != nil:
		return fatal(ctx, err)
	case err != nil:
		return x.end(ctx, r, u, result{err: fmt.Errorf("its leader was lost, and whether it took effect cannot be found out: %w", err)})
	case done:
		return x.end(ctx, r, u, result{outcome: OutcomeDone, output: "its leader was lost; it had taken effect"})
	}
	return x.end(ctx, r, u, result{outcome: OutcomeInterrupted, output: "its leader was lost; it had not taken effect"})
}

// fatal returns what ends the whole run: the end of ctx, or a higher epoch.
func fatal(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, ErrFenced) {
		return err
	}
	return nil
}

// advance does the next step of an execution.
func (x *Executor) advance(ctx context.Context, r *record, wake <-chan struct{}) error {
	if wish := r.exec.Wish; wish != nil && wish.Verb == VerbRollback {
		return r.change(ctx, func(e *Execution) error {
			e.State, e.Wish = StateRollingBack, nil
			return nil
		})
	}
	s, _, ok := r.exec.Current()
	if !ok {
		return x.conclude(ctx, r)
	}
	if missing := slices.IndexFunc(s.Needs, func(need string) bool { return r.exec.outcome(need) != OutcomeDone }); missing >= 0 {
		return x.skip(ctx, r, doing(s), fmt.Sprintf("step %s, which it needs, is not done", s.Needs[missing]))
	}
	return x.attempt(ctx, r, doing(s), wake)
}

// conclude ends an execution whose steps are all over.
func (x *Executor) conclude(ctx context.Context, r *record) error {
	return r.change(ctx, func(e *Execution) error {
		now := x.now()
		if window := e.Plan.Window.Length.Std(); window > 0 {
			e.State, e.CommitBy = StateFailedOver, now.Add(window)
			return nil
		}
		e.finish(StateCommitted, now)
		return nil
	})
}

// attempt makes one attempt at a unit: written down before, and after.
func (x *Executor) attempt(ctx context.Context, r *record, u unit, wake <-chan struct{}) error {
	last := r.exec.last(u.step.Name, u.undo)
	if last != nil && last.Outcome == OutcomeRetry {
		if _, err := x.pause(ctx, u.step.pause(), wake); err != nil {
			return err
		}
	}
	// An attempt that failed may have taken effect all the same: a call that timed
	// out arrived, perhaps. One that was interrupted has been asked about already.
	ask := last != nil && last.Outcome != OutcomeInterrupted
	err := r.change(ctx, func(e *Execution) error {
		if !u.undo && e.Wish != nil && e.Wish.Verb == VerbRollback {
			return errDecided
		}
		e.Entries = append(e.Entries, x.entry(r, e, u))
		return nil
	})
	switch {
	case errors.Is(err, errDecided):
		return nil
	case err != nil:
		return err
	}
	output, err := x.perform(ctx, r, u, ask, wake)
	switch {
	case fatal(ctx, err) != nil:
		return fatal(ctx, err)
	case errors.Is(err, errDecided):
		return x.end(ctx, r, u, result{outcome: OutcomeInterrupted, output: err.Error()})
	case err != nil:
		return x.end(ctx, r, u, result{output: output, err: err})
	}
	return x.end(ctx, r, u, result{outcome: OutcomeDone, output: output})
}

func (x *Executor) entry(r *record, e *Execution, u unit) Entry {
	return Entry{
		Step: u.step.Name, Undo: u.undo, Attempt: e.attempts(u.step.Name, u.undo) + 1,
		Started: x.now(), Actor: x.o.Node, Epoch: r.epoch,
	}
}

// note writes an entry for which nothing was done.
func (x *Executor) note(ctx context.Context, r *record, u unit, o Outcome, why string) error {
	return r.change(ctx, func(e *Execution) error {
		entry := x.entry(r, e, u)
		entry.Finished, entry.Outcome, entry.Output = entry.Started, o, why
		e.Entries = append(e.Entries, entry)
		return nil
	})
}

func (x *Executor) skip(ctx context.Context, r *record, u unit, why string) error {
	return x.note(ctx, r, u, OutcomeSkipped, why)
}

// result is how an attempt went; an error without an outcome is a failure, of which
// the budget of retries decides what follows.
type result struct {
	outcome Outcome
	output  string
	err     error
}

// end closes the open entry of a unit, and with a failure for good moves the
// execution where the step's policy says, in the same write.
func (x *Executor) end(ctx context.Context, r *record, u unit, res result) error {
	return r.change(ctx, func(e *Execution) error {
		i := e.unfinished()
		if i < 0 || e.Entries[i].Step != u.step.Name || e.Entries[i].Undo != u.undo {
			return fault.New("carry out plan", e.ID, fmt.Errorf("the journal has no open entry of step %s", u.step.Name), "")
		}
		entry := &e.Entries[i]
		entry.Finished, entry.Outcome, entry.Output = x.now(), res.outcome, cut(res.output)
		if entry.Epoch != r.epoch {
			entry.Closed = r.epoch
		}
		if res.err == nil {
			return nil
		}
		entry.Error = cut(explain(res.err))
		policy := u.step.policy()
		if errors.Is(res.err, ErrNeedless) {
			policy = PolicyUndo
		} else if !errors.Is(res.err, ErrHopeless) && e.failures(u.step.Name, u.undo) < u.retries {
			entry.Outcome = OutcomeRetry
			return nil
		}
		entry.Outcome = OutcomeFailed
		e.fail(u, policy, entry.Error, x.now())
		return nil
	})
}

// explain is an error with what to do about it: the journal keeps text alone.
func explain(err error) string {
	return strings.Join(append([]string{err.Error()}, fault.Hints(err)...), "; ")
}

// fail moves an execution on after a unit has failed for good.
func (e *Execution) fail(u unit, policy Policy, why string, now time.Time) {
	text := fmt.Sprintf("step %s: %s", u.step.Name, why)
	switch {
	case u.undo:
		e.State, e.Resume, e.Error = StateStopped, StateRollingBack, "undoing "+text
	case policy == PolicyContinue:
	case policy == PolicyUndo:
		e.State, e.Error = StateRollingBack, text
	case !e.changed():
		// Nothing to undo and nothing to repair: it holds on to nothing.
		e.Error = text
		e.finish(StateRolledBack, now)
	default:
		e.State, e.Resume, e.Error = StateStopped, StateExecuting, text
	}
}

// notEffective is why a step is not taken back.
const notEffective = "it had not taken effect"

// overtaken finds a step that was not taken back because it had not taken effect, and
// has done so since: what was ordered and given up came all the same. What comes
// before it cannot be undone while it stands, so it is taken back after all.
func (x *Executor) overtaken(ctx context.Context, r *record) (found bool, err error) {
	for _, s := range slices.Backward(r.exec.Steps()) {
		last := r.exec.last(s.Name, true)
		if last == nil || last.Outcome != OutcomeSkipped || last.Output != notEffective {
			continue
		}
		done, err := x.begun(ctx, r, doing(s))
		if fatal(ctx, err) != nil {
			return false, fatal(ctx, err)
		}
		if err == nil && done {
			return true, x.note(ctx, r, undoing(s), OutcomeInterrupted, "it has taken effect since")
		}
	}
	return false, nil
}

// retreat undoes the last thing that is not undone yet.
func (x *Executor) retreat(ctx context.Context, r *record) error {
	if found, err := x.overtaken(ctx, r); found || err != nil {
		return err
	}
	s, _, ok := r.exec.Current()
	if !ok {
		return r.change(ctx, func(e *Execution) error {
			e.finish(StateRolledBack, x.now())
			return nil
		})
	}
	u := undoing(s)
	if s.Undo.Uses == "" {
		return x.skip(ctx, r, u, "nothing takes it back")
	}
	if r.exec.outcome(s.Name) != OutcomeDone && r.exec.attempts(s.Name, true) == 0 {
		done, err := x.begun(ctx, r, doing(s))
		if fatal(ctx, err) != nil {
			return fatal(ctx, err)
		}
		if err == nil && !done {
			return x.skip(ctx, r, u, notEffective)
		}
	}
	return x.attempt(ctx, r, u, nil)
}
