package failover

import (
	"context"
	"slices"

	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
)

// copied tells whether any region keeps a copy of a region's repository. One that has none
// takes its backups and its jobs nowhere: its services alone can move.
func (p *Planner) copied(region string) bool {
	return slices.ContainsFunc(p.cfg.Backup.Replication.Regions, func(pair config.RegionPair) bool { return pair.Primary == region })
}

// copyless says why nothing is done about the backups of a region that nobody copies.
func (p *Planner) copyless(region string) string {
	if len(p.cfg.Backup.Replication.Regions) == 0 {
		return "there are no copies: backup.replication names none"
	}
	return "there are no copies of " + region + ": backup.replication names none"
}

// ifCopied is an action on the copies of region "from", of which there is nothing to do, nor
// to take back, when there are none.
func (p *Planner) ifCopied(a plan.ActionFuncs) plan.ActionFuncs {
	checks, does, done := a.Checks, a.Does, a.IsDone
	a.Checks = func(ctx context.Context, c plan.Call) (string, error) {
		if !p.copied(c.Text("from")) {
			return p.copyless(c.Text("from")), nil
		}
		return checks(ctx, c)
	}
	a.Does = func(ctx context.Context, c plan.Call) (string, error) {
		if !p.copied(c.Text("from")) {
			return p.copyless(c.Text("from")) + ": nothing to do", nil
		}
		return does(ctx, c)
	}
	a.IsDone = func(ctx context.Context, c plan.Call) (bool, error) {
		if !p.copied(c.Text("from")) {
			return true, nil
		}
		return done(ctx, c)
	}
	return a
}

// copyIsCurrent is the condition repository_current, which holds where there is no copy that
// could be behind.
func (p *Planner) copyIsCurrent(ctx context.Context, c plan.Call) (bool, string, error) {
	if !p.copied(c.Text("from")) {
		return true, p.copyless(c.Text("from")), nil
	}
	return p.repositoryCurrent(ctx, c)
}
