package plan

import (
	"context"
	"strings"
	"time"
)

// lookAgainEvery is how often a rollback that is overdue is asked again whether it could
// be carried out.
const lookAgainEvery = 15 * time.Second

// window waits for a decision, or for its end. What is to be taken back at its end and
// could not be stays as it is, and is asked again until the way back is there or somebody
// decides. It is told after the second look: who has just begun to lead has not heard
// everybody.
func (x *Executor) window(ctx context.Context, r *record, wake <-chan struct{}) error {
	var look time.Time // not before this is an overdue rollback asked again
	for seen := false; r.exec.State == StateFailedOver; {
		left := max(r.exec.CommitBy.Sub(x.now()), look.Sub(x.now()))
		switch {
		case r.exec.Wish == nil && left > 0:
			if _, err := x.pause(ctx, min(left, pollEvery), wake); err != nil {
				return err
			}
			if err := r.reload(ctx); err != nil {
				return err
			}
		case r.exec.Wish == nil && r.exec.Plan.Expired == ExpiryRollback:
			wrong, err := x.obstacles(ctx, r)
			if err != nil {
				return err
			}
			if len(wrong) == 0 {
				return x.leaveWindow(ctx, r)
			}
			if seen {
				err = x.overdue(ctx, r, strings.Join(wrong, "; "))
			}
			if err != nil {
				return err
			}
			seen, look = true, x.now().Add(lookAgainEvery)
		default:
			return x.leaveWindow(ctx, r)
		}
	}
	return nil
}

// leaveWindow does what was decided, or what the plan says of the end of its window.
func (x *Executor) leaveWindow(ctx context.Context, r *record) error {
	return r.change(ctx, func(e *Execution) error {
		switch {
		case e.State != StateFailedOver:
		case e.Wish != nil && e.Wish.Verb == VerbRollback || e.Wish == nil && e.Plan.Expired == ExpiryRollback:
			e.State, e.Wish, e.Overdue = StateRollingBack, nil, ""
		default:
			e.finish(StateCommitted, x.now())
		}
		return nil
	})
}

// overdue writes down why an execution is not taken back at the end of its window, unless
// that is known.
func (x *Executor) overdue(ctx context.Context, r *record, why string) error {
	if why = cut(why); r.exec.Overdue == why {
		return nil
	}
	return r.change(ctx, func(e *Execution) error {
		if e.State == StateFailedOver && e.Wish == nil {
			e.Overdue = why
		}
		return nil
	})
}
