package plan

import (
	"context"
	"fmt"

	"mahavishnu/fault"
)

// Verb is a decision about an execution.
type Verb string

// The decisions.
const (
	// VerbCommit keeps what was done, within the window, or after a stop that was
	// repaired by hand.
	VerbCommit Verb = "commit"
	// VerbRollback undoes what was done, at any time before it is final.
	VerbRollback Verb = "rollback"
	// VerbContinue tries a failed step again, after a stop.
	VerbContinue Verb = "continue"
)

// Decision is what somebody wants to become of an execution.
type Decision struct {
	Verb   Verb
	By     string
	Reason string
	// Force has a rollback begin that would stop halfway as things are.
	Force bool
}

// Decide takes a decision, or refuses it with [ErrRefused] and the reason. After a
// stop, Run has to be called again.
func (x *Executor) Decide(ctx context.Context, epoch uint64, id string, d Decision) (Execution, error) {
	r, err := x.claim(ctx, id, epoch)
	if err != nil {
		return Execution{}, err
	}
	entry := AuditEntry{
		Action: string(d.Verb), Execution: id, Plan: r.exec.Plan.Name, Digest: r.exec.Digest,
		By: d.By, Reason: d.Reason, Epoch: epoch, At: x.now(),
	}
	if err := r.exec.allows(d.Verb); err != nil {
		return r.exec, err
	}
	if d.Verb == VerbRollback && !d.Force {
		if err := x.wayBack(ctx, r); err != nil {
			return r.exec, err
		}
	}
	if err := x.audit(ctx, entry); err != nil {
		return r.exec, err
	}
	err = r.change(ctx, func(e *Execution) error {
		if err := e.allows(d.Verb); err != nil {
			return err
		}
		wish := &Wish{Verb: d.Verb, By: d.By, Reason: d.Reason, At: x.now()}
		switch {
		case e.State != StateStopped:
			e.Wish = wish
		case d.Verb == VerbCommit:
			e.Wish = wish
			e.finish(StateCommitted, x.now())
		case d.Verb == VerbRollback && e.Resume == StateExecuting:
			e.State, e.Resume = StateRollingBack, ""
		default:
			x.again(e, wish)
		}
		return nil
	})
	if err == nil && r.exec.State.Final() {
		err = x.release(ctx, epoch, &r.exec)
	}
	x.wake(id)
	return r.exec, err
}

// allows refuses a decision that does not fit the state.
func (e *Execution) allows(v Verb) error {
	good, hint := false, ""
	switch v {
	case VerbCommit:
		good = e.State == StateFailedOver || e.State == StateStopped
		hint = "only what is failed over, or has stopped, can be committed"
	case VerbRollback:
		good = e.State == StateReady || e.State == StateExecuting || e.State == StateFailedOver || e.State == StateStopped
		hint = "what is committed can only be gone back from: mahavishnu failover failback"
	case VerbContinue:
		good = e.State == StateStopped
		hint = "only what has stopped can be continued"
	}
	if e.State == StateRolledBack || e.State == StateRefused {
		hint = "it has ended, and nothing of it is left to decide about"
	}
	switch {
	case !good:
		return fault.New(string(v), e.ID, fmt.Errorf("%w: it is %s", ErrRefused, e.State), hint)
	case e.Wish != nil:
		return fault.New(string(v), e.ID, fmt.Errorf("%w: %s has decided %s already", ErrRefused, e.Wish.By, e.Wish.Verb), "")
	}
	return nil
}

// again has the step at which an execution stopped tried once more.
func (x *Executor) again(e *Execution, w *Wish) {
	s, undo, ok := e.Current()
	if ok {
		e.Entries = append(e.Entries, Entry{
			Step: s.Name, Undo: undo, Attempt: e.attempts(s.Name, undo) + 1,
			Started: w.At, Finished: w.At, Actor: w.By, Epoch: e.Epoch, Outcome: OutcomeAgain, Output: w.Reason,
		})
	}
	e.State, e.Resume, e.Error = e.Resume, "", ""
}
