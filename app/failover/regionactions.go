package failover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/replication"
	"mahavishnu/storage"
)

// regionActions are the actions that change a region's record, and what follows it.
func (p *Planner) regionActions() map[string]plan.Action {
	return map[string]plan.Action{
		"pause_schedules": p.recorded("region", func(r messages.RegionRecord) bool { return r.Paused != nil },
			func(_ context.Context, c plan.Call) (string, error) {
				return "no jobs are made for " + c.Text("region"), nil
			},
			func(r *messages.RegionRecord, change *messages.RegionChange) {
				if r.Paused == nil {
					r.Paused = change
				}
			}),
		"resume_schedules": p.recorded("region", func(r messages.RegionRecord) bool { return r.Paused == nil },
			func(_ context.Context, c plan.Call) (string, error) {
				return "jobs are made for " + c.Text("region"), nil
			},
			func(r *messages.RegionRecord, _ *messages.RegionChange) { r.Paused = nil }),
		"move_workers":        p.ifCopied(plan.ActionFuncs{Checks: p.checkWorkers, Does: p.moveWorkers, IsDone: p.workersMoved}),
		"return_workers":      p.ifCopied(plan.ActionFuncs{Checks: p.checkReturnWorkers, Does: p.returnWorkers, IsDone: p.workersReturned}),
		"return_services":     plan.ActionFuncs{Checks: p.checkReturn, Does: p.returnServices, IsDone: p.servicesReturned, HasBegun: p.beganReturning},
		"failback_repository": p.ifCopied(plan.ActionFuncs{Checks: p.checkFailback, Does: p.failbackRepository, IsDone: p.repositoryFailedBack}),
	}
}

// repositoryActions are what only regions can be named to of which one keeps a copy of
// the other's repository.
var repositoryActions = []string{"promote_repository", "failback_repository"}

// recorded is an action that is a change of a region's record, and nothing else.
func (p *Planner) recorded(param string, so func(messages.RegionRecord) bool, text func(context.Context, plan.Call) (string, error),
	change func(*messages.RegionRecord, *messages.RegionChange),
) plan.Action {
	return plan.ActionFuncs{
		Checks: func(ctx context.Context, c plan.Call) (string, error) { return p.recordText(ctx, c.Text(param)) },
		Does: func(ctx context.Context, c plan.Call) (string, error) {
			_, err := p.regions.change(ctx, c, c.Text(param), change)
			if err != nil {
				return "", err
			}
			return text(ctx, c)
		},
		IsDone: func(ctx context.Context, c plan.Call) (bool, error) { return p.regions.done(ctx, c, c.Text(param), so) },
	}
}

// recordText says what is recorded of a region.
func (p *Planner) recordText(ctx context.Context, region string) (string, error) {
	r, _, err := p.regions.read(ctx, region)
	if err != nil {
		return "", err
	}
	return r.String(), nil
}

// servingFor are the nodes elsewhere that take a region's jobs, or still run some. Nodes
// that are down are left out: who does not reach the queue can neither take a job nor
// finish one.
func (p *Planner) servingFor(region string) []string {
	var all []string
	for _, n := range p.looking().Status().Nodes {
		if n.State != "down" && n.Region != region && slices.Contains(n.Serves, region) {
			all = append(all, n.Node)
		}
	}
	return all
}

// workersIn are the nodes in a region that have a worker and are not down.
func (p *Planner) workersIn(region string) []string {
	var all []string
	for _, n := range p.looking().Status().Nodes {
		if n.State != "down" && n.Region == region && slices.Contains(n.Roles, "worker") {
			all = append(all, n.Node)
		}
	}
	return all
}

// checkWorkers tells whether there is anybody to take a region's jobs, and a repository
// to do them in.
func (p *Planner) checkWorkers(_ context.Context, c plan.Call) (string, error) {
	pair := config.RegionPair{Primary: c.Text("from"), Secondary: c.Text("to")}
	if !slices.Contains(p.cfg.Backup.Replication.Regions, pair) {
		return "", fault.New("move workers", pair.String(), fmt.Errorf("region %s keeps no copy of the repository of %s", pair.Secondary, pair.Primary),
			"copies: "+strings.Join(p.pairs(), ", "))
	}
	workers := p.workersIn(pair.Secondary)
	if len(workers) == 0 {
		return "", fault.New("move workers", pair.String(), fmt.Errorf("no worker of region %s is heard", pair.Secondary), "run mahavishnu worker there")
	}
	return "workers are heard: " + strings.Join(workers, ", "), nil
}

// moveWorkers has workers of one region take the jobs of another, and waits until one
// does.
func (p *Planner) moveWorkers(ctx context.Context, c plan.Call) (string, error) {
	from, to := c.Text("from"), c.Text("to")
	_, err := p.regions.change(ctx, c, from, func(r *messages.RegionRecord, by *messages.RegionChange) {
		if r.Workers == nil || r.Workers.To != to {
			by.To, r.Workers = to, by
		}
	})
	if err != nil {
		return "", err
	}
	if err := p.until(ctx, func() bool { return len(p.servingFor(from)) > 0 }); err != nil {
		return "", fmt.Errorf("no worker of region %s has taken over yet: %w", to, err)
	}
	return fmt.Sprintf("the jobs of %s are taken by %s", from, strings.Join(p.servingFor(from), ", ")), nil
}

func (p *Planner) workersMoved(ctx context.Context, c plan.Call) (bool, error) {
	done, err := p.regions.done(ctx, c, c.Text("from"), func(r messages.RegionRecord) bool {
		return r.Workers != nil && r.Workers.To == c.Text("to")
	})
	return done && len(p.servingFor(c.Text("from"))) > 0, err
}

// checkReturnWorkers tells whether there is anybody in a region to take its jobs again
// that were moved out of it.
func (p *Planner) checkReturnWorkers(ctx context.Context, c plan.Call) (string, error) {
	from := c.Text("from")
	r, _, err := p.regions.read(ctx, from)
	if err != nil {
		return "", err
	}
	if r.Workers != nil && len(p.workersIn(from)) == 0 {
		return r.String(), fault.New("return workers", from, fmt.Errorf("no worker of region %s is heard", from), "run mahavishnu worker there")
	}
	return r.String(), nil
}

// quietLooks is how often in a row nobody must be seen to run a region's jobs: heartbeats
// that were under way tell of the past.
const quietLooks = 8

// returnWorkers has nobody else take a region's jobs any more, and waits until what was
// under way has ended or was handed back. The region's own workers begin when its
// repository is there.
func (p *Planner) returnWorkers(ctx context.Context, c plan.Call) (string, error) {
	from := c.Text("from")
	if _, err := p.regions.change(ctx, c, from, func(r *messages.RegionRecord, _ *messages.RegionChange) { r.Workers = nil }); err != nil {
		return "", err
	}
	quiet := 0
	err := p.until(ctx, func() bool {
		if quiet++; len(p.servingFor(from)) > 0 {
			quiet = 0
		}
		return quiet >= quietLooks
	})
	if err != nil {
		return "", fmt.Errorf("jobs of region %s still run on %s: %w", from, strings.Join(p.servingFor(from), ", "), err)
	}
	return "nobody else takes the jobs of " + from, nil
}

func (p *Planner) workersReturned(ctx context.Context, c plan.Call) (bool, error) {
	done, err := p.regions.done(ctx, c, c.Text("from"), func(r messages.RegionRecord) bool { return r.Workers == nil })
	return done && len(p.servingFor(c.Text("from"))) == 0, err
}

// checkFailback tells which roles the two ends of a copy have now.
func (p *Planner) checkFailback(ctx context.Context, c plan.Call) (seen string, err error) {
	err = p.withEnds(ctx, c, func(primary, replica storage.Backend) error {
		there, err := replication.RoleOf(ctx, primary)
		if err != nil {
			return err
		}
		here, err := replication.RoleOf(ctx, replica)
		seen = fmt.Sprintf("%s is a %s, %s a %s", primary.Location(), there.Role, replica.Location(), here.Role)
		return err
	})
	return seen, err
}

// failbackRepository copies back what a promoted copy was given, and makes what it is a
// copy of the primary again.
func (p *Planner) failbackRepository(ctx context.Context, c plan.Call) (text string, err error) {
	from, to := c.Text("from"), c.Text("to")
	if _, err := p.regions.change(ctx, c, from, func(*messages.RegionRecord, *messages.RegionChange) {}); err != nil {
		return "", err // an earlier leader can change nothing from here on
	}
	pair := config.RegionPair{Primary: from, Secondary: to}
	// What is copied for hours is not given up after a moment.
	err = p.withEndsOf(ctx, p.patient, c, func(primary, replica storage.Backend) error {
		done, err := replication.Failback(ctx, replication.FailbackOptions{
			Name: pair.String(), Primary: primary, Replica: replica, By: c.Node, Reason: c.Execution, Clock: p.clock,
			Back: replication.Options{
				Retention: p.patient.BackRetention(pair), By: c.Execution, Clock: p.clock,
				DeleteAfter: time.Duration(p.cfg.Backup.Replication.DeleteAfterDays) * 24 * time.Hour,
			},
		})
		if err != nil {
			return err
		}
		text = fmt.Sprintf("%s is the primary, epoch %d; %d objects, %d bytes copied back", primary.Location(), done.Now.Epoch, done.Copied, done.CopiedBytes)
		if len(done.Kept) > 0 {
			text += fmt.Sprintf("; %d snapshots were only there, and are copied again", len(done.Kept))
		}
		if len(done.Left) > 0 {
			text += fmt.Sprintf("; %d snapshots stay in %s alone: %s", len(done.Left), replica.Location(), strings.Join(done.Left[:min(len(done.Left), 3)], ", "))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	_, err = p.regions.change(ctx, c, from, func(r *messages.RegionRecord, _ *messages.RegionChange) { r.Repository = nil })
	return text, err
}

func (p *Planner) repositoryFailedBack(ctx context.Context, c plan.Call) (done bool, err error) {
	done, err = p.regions.done(ctx, c, c.Text("from"), func(r messages.RegionRecord) bool { return r.Repository == nil })
	if err != nil || !done {
		return false, err
	}
	err = p.withEnds(ctx, c, func(primary, replica storage.Backend) error {
		there, err := replication.RoleOf(ctx, primary)
		if err != nil {
			return err
		}
		here, err := replication.RoleOf(ctx, replica)
		done = there.Role == replication.Primary && there.Noted && here.Role == replication.Replica
		return err
	})
	return done, err
}

// notePromoted notes where a region's repository is now.
func (p *Planner) notePromoted(ctx context.Context, c plan.Call) error {
	to := c.Text("to")
	_, err := p.regions.change(ctx, c, c.Text("from"), func(r *messages.RegionRecord, by *messages.RegionChange) {
		if r.Repository == nil || r.Repository.To != to {
			by.To, r.Repository = to, by
		}
	})
	return err
}
