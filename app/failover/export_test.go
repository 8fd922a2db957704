package failover

import (
	"context"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
)

// Repositories is a planner that knows of repositories alone.
type Repositories struct{ p *Planner }

// NewRepositories returns one for the copies of a configuration.
func NewRepositories(cfg *config.Config, copies Copies) Repositories {
	return Repositories{&Planner{
		cfg: cfg, copies: copies, patient: copies, regions: regionRecords{&memoryStore{}, clock.System()}, clock: clock.System(),
	}}
}

// Action is one of a planner's actions.
func (r Repositories) Action(name string) plan.Action {
	if name == "promote_repository" {
		return plan.ActionFuncs{Checks: r.p.checkCopy, Does: r.p.promoteRepository, IsDone: r.p.repositoryPromoted}
	}
	return r.p.regionActions()[name]
}

// Current is the condition repository_current.
func (r Repositories) Current(ctx context.Context, c plan.Call) (bool, string, error) {
	return r.p.repositoryCurrent(ctx, c)
}

// Region is what is recorded of a region.
func (r Repositories) Region(ctx context.Context, region string) (messages.RegionRecord, error) {
	record, _, err := r.p.regions.read(ctx, region)
	return record, err
}
