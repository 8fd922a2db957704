package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/fault"
)

// wayBack refuses a rollback that would stop halfway as things are. A rollback that
// stopped before has begun already.
func (x *Executor) wayBack(ctx context.Context, r *record) error {
	if r.exec.State == StateStopped && r.exec.Resume == StateRollingBack {
		return nil
	}
	wrong, err := x.obstacles(ctx, r)
	if err != nil || len(wrong) == 0 {
		return err
	}
	return fault.New(string(VerbRollback), r.exec.ID,
		fmt.Errorf("%w: as things are it would stop halfway: %s", ErrRefused, strings.Join(wrong, "; ")), r.exec.instead())
}

// obstacles are what a rollback would stop at as things are: everything that would be
// taken back is asked, in that order, whether it could be.
func (x *Executor) obstacles(ctx context.Context, r *record) (wrong []string, err error) {
	for _, s := range slices.Backward(r.exec.Steps()) {
		if s.Undo.Uses == "" || !r.exec.touched(s) {
			continue
		}
		if o := r.exec.outcome(s.Name); o != OutcomeDone && o != "" { // "" is under way
			begun, err := x.begun(ctx, r, doing(s))
			if fatal(ctx, err) != nil {
				return nil, fatal(ctx, err)
			}
			if err == nil && !begun {
				continue
			}
		}
		if _, why := x.lookAt(ctx, r, undoing(s)); why != "" {
			wrong = append(wrong, fmt.Sprintf("step %s: %s", s.Name, why))
		}
	}
	return wrong, context.Cause(ctx)
}

// instead is what to do rather than a rollback that cannot be carried out.
func (e *Execution) instead() string {
	hint := "mend that first; to take back what can be all the same: mahavishnu failover rollback " + e.ID + " --force"
	if e.allows(VerbCommit) != nil {
		return hint
	}
	keep := "keep it: mahavishnu failover commit " + e.ID
	if e.Plan.Failback != "" {
		keep += ", and go back once that is mended: mahavishnu failover failback " + e.ID
	}
	return keep + "; or " + hint
}

// OverdueHint is what to do about an execution that is [Execution.Overdue].
func (e *Execution) OverdueHint() string {
	hint := "mend that, and it is taken back by itself; or keep it: mahavishnu failover commit " + e.ID
	if e.Plan.Failback != "" {
		hint += ", and go back later: mahavishnu failover failback " + e.ID
	}
	return hint + "; or take back what can be: mahavishnu failover rollback " + e.ID + " --force"
}

// elsewhere is what to do rather than go back from an execution that cannot be gone back from.
func (e *Execution) elsewhere() string {
	if service := e.Params["service"]; service != "" {
		return "to have another member take over: mahavishnu failover execute single_server_failure --graceful --set service=" + service
	}
	return "the plans there are: mahavishnu failover plan"
}
