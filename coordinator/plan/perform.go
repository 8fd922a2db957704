package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// done asks whether a unit's action has taken effect.
func (x *Executor) done(ctx context.Context, r *record, u unit) (bool, error) {
	return x.ask(ctx, r, u, Action.Done)
}

// begun asks whether a unit's action has taken effect, or any part of it.
func (x *Executor) begun(ctx context.Context, r *record, u unit) (bool, error) {
	return x.ask(ctx, r, u, func(a Action, ctx context.Context, c Call) (bool, error) {
		if partial, ok := a.(Partial); ok {
			return partial.Begun(ctx, c)
		}
		return a.Done(ctx, c)
	})
}

// ask asks a unit's action a question.
func (x *Executor) ask(ctx context.Context, r *record, u unit, question func(Action, context.Context, Call) (bool, error)) (yes bool, err error) {
	action, err := x.o.Registry.action(u.uses)
	if err != nil {
		return false, err
	}
	c, err := x.call(r, u)
	if err != nil {
		return false, err
	}
	err = x.within(ctx, u.timeout, func(ctx context.Context) error {
		var err error
		yes, err = question(action, ctx, c)
		return err
	})
	return yes, err
}

// perform does what the unit is about, once. With ask, an action is first asked
// whether it has been done.
func (x *Executor) perform(ctx context.Context, r *record, u unit, ask bool, wake <-chan struct{}) (string, error) {
	switch {
	case u.changes():
		return x.act(ctx, r, u, ask)
	case u.step.Kind == KindApprove:
		return x.awaitApproval(ctx, r, u.step, wake)
	case u.step.Uses == "":
		return x.letPass(ctx, r, u.step.For.Std(), wake)
	}
	c, err := x.call(r, u)
	if err != nil {
		return "", err
	}
	condition, err := x.o.Registry.condition(u.uses)
	if err != nil {
		return "", err
	}
	var output string
	err = x.within(ctx, u.timeout, func(ctx context.Context) error {
		var err error
		if u.step.Kind == KindCheck {
			output, err = holds(ctx, condition, c)
			return err
		}
		output, err = x.until(ctx, r, u.step, condition, c, wake)
		return err
	})
	return output, err
}

// act calls an action.
func (x *Executor) act(ctx context.Context, r *record, u unit, ask bool) (output string, err error) {
	if ask {
		done, err := x.done(ctx, r, u)
		if err != nil {
			return "", fmt.Errorf("whether an earlier attempt took effect cannot be found out: %w", err)
		}
		if done {
			return "an earlier attempt had taken effect", nil
		}
	}
	action, err := x.o.Registry.action(u.uses)
	if err != nil {
		return "", err
	}
	c, err := x.call(r, u)
	if err != nil {
		return "", err
	}
	err = x.within(ctx, u.timeout, func(ctx context.Context) error {
		var err error
		output, err = action.Do(ctx, c)
		return err
	})
	return output, err
}

// holds asks a condition once; that it does not hold is an error.
func holds(ctx context.Context, condition Condition, c Call) (string, error) {
	ok, seen, err := condition.Holds(ctx, c)
	if err == nil && !ok {
		err = errNotYet
		if seen != "" {
			err = fmt.Errorf("%w: %s", errNotYet, seen)
		}
	}
	return seen, err
}

// until asks a condition until it has held as often in a row as the step wants.
func (x *Executor) until(ctx context.Context, r *record, s Step, condition Condition, c Call, wake <-chan struct{}) (string, error) {
	inRow, looks := 0, 0
	for {
		seen, err := holds(ctx, condition, c)
		looks++
		switch {
		case errors.Is(err, ErrFenced), errors.Is(err, ErrNeedless), errors.Is(err, ErrHopeless):
			return "", err
		case err == nil:
			if inRow++; inRow >= max(s.Holds, 1) {
				return strings.TrimSpace(fmt.Sprintf("%s (looked %d times)", seen, looks)), nil
			}
		default:
			inRow = 0
		}
		if cause := context.Cause(ctx); cause != nil {
			if err != nil && !errors.Is(err, cause) {
				cause = fmt.Errorf("%w; last: %w", cause, err)
			}
			return "", cause
		}
		if waited := x.listen(ctx, r, s.every(), wake); waited != nil {
			if err != nil {
				waited = fmt.Errorf("%w; last: %w", waited, err)
			}
			return "", waited
		}
	}
}

// letPass waits, unless somebody decides otherwise.
func (x *Executor) letPass(ctx context.Context, r *record, d time.Duration, wake <-chan struct{}) (string, error) {
	end := x.clock.Now().Add(d)
	for left := d; left > 0; left = end.Sub(x.clock.Now()) {
		if err := x.listen(ctx, r, left, wake); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("waited %v", d), nil
}

// listen lets time pass; a decision ends it with errDecided.
func (x *Executor) listen(ctx context.Context, r *record, d time.Duration, wake <-chan struct{}) error {
	woken, err := x.pause(ctx, d, wake)
	if err != nil || !woken {
		return err
	}
	if err := r.reload(ctx); err != nil {
		return err
	}
	if r.exec.Wish != nil && r.exec.Wish.Verb == VerbRollback {
		return errDecided
	}
	return nil
}

// within runs fn for at most d on the executor's clock, and waits for it to return:
// what is under way when the plan goes on would act behind its back.
func (x *Executor) within(ctx context.Context, d time.Duration, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := x.clock.NewTimer(d)
	defer timer.Stop()
	ended := make(chan error, 1)
	go func() { ended <- guarded(ctx, fn) }()
	select {
	case err := <-ended:
		return err
	case <-timer.C():
		late := fmt.Errorf("%w of %v", ErrTimeout, d)
		cancel(late)
		err := x.outlast(ended)
		switch {
		case err == nil, errors.Is(err, ErrTimeout), errors.Is(err, ErrFenced):
			return err
		}
		return fmt.Errorf("%w: %w", late, err)
	}
}

// hungAfter is for how long a step may go on after its time is over before it counts as one
// that hangs: what asks its context ends at once, and most of the rest with a slow answer.
const hungAfter = 5 * time.Second

// outlast waits for a step whose time is over.
func (x *Executor) outlast(ended <-chan error) error {
	timer := x.clock.NewTimer(hungAfter)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C():
	}
	x.hung.Add(1)
	defer x.hung.Add(-1)
	return <-ended
}

// Alive tells whether no step hangs, as one does that writes to a disk which is gone: it cannot be
// ended, and nothing goes on behind it. Another leader can, once this one does not lead.
func (x *Executor) Alive() bool { return x.hung.Load() == 0 }

// guarded makes an error of a panic: a plan under way must not take the leader down.
func guarded(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return fn(ctx)
}
