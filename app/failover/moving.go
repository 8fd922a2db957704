package failover

import (
	"context"

	"mahavishnu/coordinator/plan"
)

// moving reports whether a plan is just moving the services of a region: it stops their
// primaries itself, and has others take over. What it stops must not be taken for dead, or
// a second plan promotes somebody else. A plan for the region that is at another step, such
// as waiting for an approval, keeps nobody from replacing a server that fails meanwhile.
func (p *Planner) moving(ctx context.Context, region string) (bool, error) {
	e, err := p.holderOf(ctx, "region/"+region)
	return err == nil && e != nil && movesServices(e), err
}

// movesServices reports whether an execution is at a step that moves services.
func movesServices(e *plan.Execution) bool {
	step, undo, ok := e.Current()
	if !ok || e.State == plan.StateStopped {
		return false
	}
	uses := step.Uses
	if undo {
		uses = step.Undo.Uses
	}
	return uses == "move_services" || uses == "return_services"
}
