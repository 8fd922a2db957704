package failover

import (
	"context"
	"strings"
	"time"

	"mahavishnu/coordinator/plan"
)

// rereadEvery is how often every coordinator looks at its plan files, whether it leads
// or not: who leads next must not find out on the worst day that they cannot be read.
const rereadEvery = time.Minute

// readFiles reads the plans for the first time. A file that is wrong does not keep the
// process from starting, for backups go on in it; what is wrong comes with the plans
// that can be used all the same.
func (p *Planner) readFiles(registry *plan.Registry) (plan.Plans, error) {
	plans, wrong := plan.Usable(registry, p.cfg.Failover.Plans)
	if wrong != nil && plans != nil {
		p.log.Error().Err(wrong).Str("directory", p.cfg.Failover.Plans).
			Msg("plan files cannot be used: shipped plans and those of the good files are; check them with mahavishnu config check")
		p.note(plan.Event{Kind: plan.EventUnreadable, At: p.clock.Now().UTC(), Text: wrong.Error()})
	}
	return plans, wrong
}

// rereadFiles looks at the plan files until ctx ends.
func (p *Planner) rereadFiles(ctx context.Context) error {
	for {
		if err := p.clock.Sleep(ctx, rereadEvery); err != nil {
			return err
		}
		p.desk.Reread()
	}
}

// Troubles are what this coordinator could not do as it should.
func (p *Planner) Troubles() []string {
	all := p.complaints()
	text := p.desk.Trouble()
	if text == "" {
		return all
	}
	first, _, _ := strings.Cut(text, "\n")
	return append(all, "its plan files cannot be used, so those that were read before, or are shipped, are: "+first+"; all of it, on that machine: mahavishnu config check")
}
