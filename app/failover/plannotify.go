package failover

import (
	"context"
	"fmt"

	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

// notify is the action that tells people. What it tells is in the log, an event of the
// outcome "notice" to which whatever reaches people listens, and stays in the journal,
// where status finds it.
func (p *Planner) notify() plan.Action {
	return plan.ActionFuncs{
		Does: func(ctx context.Context, c plan.Call) (string, error) {
			text := c.Text("text")
			p.log.Warn().Str("event", "notice").Str("execution", c.Execution).Str("plan", c.Plan).Msg(text)
			if p.metrics != nil {
				p.metrics.NoticeTold(c.Plan)
			}
			err := p.bus.PublishEvent(ctx, messages.Event{
				// Told twice by two leaders it is stored once.
				ID: fmt.Sprintf("notice.%s.%s.%t", c.Execution, c.Step, c.Undo), Time: p.clock.Now().UTC(),
				Kind: messages.EventPlan, Region: p.cfg.Node.Region, Outcome: messages.OutcomeNotice,
				Source: c.Plan, Worker: p.cfg.Node.Name, Error: text, Labels: map[string]string{"execution": c.Execution},
			})
			return text, err
		},
		// Nobody can be asked whether somebody has read it: better told twice than never.
		IsDone: func(context.Context, plan.Call) (bool, error) { return false, nil },
	}
}
