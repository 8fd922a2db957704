package scheduler

import (
	"fmt"
	"time"

	"mahavishnu/config"
	"mahavishnu/messages"
)

// Copy is one part of the copying from one region to another.
type Copy struct {
	From, To string
	// Runner is the region whose workers do it.
	Runner string
	// Shard counts from 0 to Shards - 1.
	Shard, Shards int
}

// spec is what a job is asked to do.
func (c Copy) spec() *messages.ReplicateSpec {
	return &messages.ReplicateSpec{From: c.From, To: c.To, Shard: c.Shard, Shards: c.Shards}
}

// name tells the copies of a plan apart.
func (c Copy) name() string {
	name := c.From + "-" + c.To
	if c.Shards > 1 {
		name = fmt.Sprintf("%s-%dof%d", name, c.Shard+1, c.Shards)
	}
	return name
}

// replicate adds the copying that a configuration asks for: after each backup, and
// by interval. The interval is what catches up after an outage: a job copies
// whatever the other side lacks, however long that took to gather.
func (p *Plan) replicate(r config.Replication) error {
	if !r.Enabled {
		return nil
	}
	timing, err := Cron(r.Cron())
	if err != nil {
		return fmt.Errorf("schedule %s: %w", config.ScheduleReplication, err)
	}
	s := Schedule{
		Name: config.ScheduleReplication, Kind: messages.KindReplicate,
		Recurrence: Recurrence{Timing: timing, Zone: time.UTC},
		CatchUp:    r.Interval.Std(), Overlap: OverlapSkip,
	}
	for _, pair := range r.Regions {
		for shard := range r.Shards {
			c := Copy{From: pair.Primary, To: pair.Secondary, Runner: r.Runner(pair), Shard: shard, Shards: r.Shards}
			p.FollowUps.Replicate = append(p.FollowUps.Replicate, c)
			s.Targets = append(s.Targets, Target{Source: c.name(), Region: c.Runner, Copy: &c})
		}
	}
	p.Schedules = append(p.Schedules, s)
	return nil
}

// replicate returns the jobs that copy what a backup stored.
func (f FollowUps) replicate(e messages.Event) []messages.Job {
	var jobs []messages.Job
	for _, c := range f.Replicate {
		if c.From != e.Region && e.Region != messages.AnyRegion {
			continue
		}
		job := followUp(e, "replicate-"+idToken(c.name()), c.spec())
		job.Region = c.Runner
		jobs = append(jobs, job)
	}
	return jobs
}
