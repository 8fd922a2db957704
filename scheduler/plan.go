package scheduler

import (
	"fmt"
	"slices"
	"time"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Overlap says what happens to a slot of a source whose previous run of the
// same schedule is not finished.
type Overlap string

// The overlap policies. There is none that cancels the previous run: a source
// whose backup takes longer than the interval would never be backed up.
const (
	// OverlapSkip leaves the slot out and counts it.
	OverlapSkip Overlap = config.OverlapSkip
	// OverlapQueue lets one run wait for the previous one. Of several waiting
	// slots the newest is kept, the others are skipped.
	OverlapQueue Overlap = config.OverlapQueue
	// OverlapAllow runs both at once.
	OverlapAllow Overlap = config.OverlapAllow
)

// Plan is everything the scheduler makes happen.
type Plan struct {
	Schedules []Schedule
	FollowUps FollowUps
}

// Schedule makes one job for each of its targets at each slot.
type Schedule struct {
	// Name is unique in the plan and part of every job's id.
	Name string
	// Kind is messages.KindBackup, messages.KindRestoreTest or messages.KindReplicate.
	Kind messages.Kind
	// Type is how a backup reads its source; unused by other kinds.
	Type messages.BackupType
	Recurrence
	Targets []Target
	// CatchUp is how late a slot may start after an outage. Of several such
	// slots the newest runs. A slot that is less than two minutes late counts
	// as punctual, whatever CatchUp says.
	CatchUp time.Duration
	Overlap Overlap
	// Jitter delays each job by a part of it that depends on the job's id only.
	Jitter time.Duration
	// Paused schedules count their slots as skipped and catch nothing up.
	Paused bool
}

// Target is a source, and the region whose workers can reach it.
type Target struct {
	Source string
	Region string
	// Copy is what a target of replication copies; its Source names both regions and the
	// part.
	Copy *Copy
}

// FromConfig returns the plan that a configuration asks for.
func FromConfig(c *config.Config) (Plan, error) {
	var plan Plan
	for _, s := range c.Schedules() {
		timing, err := Cron(s.Cron)
		if err != nil {
			return Plan{}, fmt.Errorf("schedule %s: %w", s.Name, err)
		}
		zone, err := LoadZone(s.Policy.Timezone)
		if err != nil {
			return Plan{}, fmt.Errorf("schedule %s: %w", s.Name, err)
		}
		schedule := Schedule{
			Name: s.Name, Kind: messages.Kind(s.Kind), Type: messages.BackupType(s.Type),
			Recurrence: Recurrence{Timing: timing, Zone: zone},
			CatchUp:    time.Duration(s.Policy.CatchUp), Overlap: Overlap(s.Policy.Overlap),
			Jitter: time.Duration(s.Policy.Jitter), Paused: s.Policy.Paused,
		}
		for _, source := range s.Sources {
			schedule.Targets = append(schedule.Targets, Target{Source: source, Region: c.Sources[source].Region})
		}
		plan.Schedules = append(plan.Schedules, schedule)
	}
	v := c.Backup.Validation
	plan.FollowUps = FollowUps{
		Verify: v.OnCreate(), Oldest: int64(v.VerifyPerRun), OlderThan: v.Due(), Forget: c.Backup.Enabled,
	}
	if err := plan.replicate(c.Backup.Replication); err != nil {
		return Plan{}, err
	}
	if p := c.Backup.Prune; p.Enabled && c.Backup.Enabled {
		plan.FollowUps.Prune = p.Every.Std()
	}
	return plan, plan.Check()
}

// Check returns an error that names the first schedule that cannot work.
func (p Plan) Check() error {
	var names []string
	for _, s := range p.Schedules {
		if err := s.check(); err != nil {
			return fault.New("check schedule", s.Name, err, "")
		}
		if slices.Contains(names, s.Name) {
			return fault.New("check schedule", s.Name, fmt.Errorf("two schedules have this name"), "rename one")
		}
		names = append(names, s.Name)
	}
	return nil
}

func (s Schedule) check() error {
	switch {
	case s.Name == "":
		return fmt.Errorf("a schedule needs a name")
	case s.Timing.spec == nil:
		return fmt.Errorf("it has no cron expression")
	case s.Kind != messages.KindBackup && s.Kind != messages.KindRestoreTest && s.Kind != messages.KindReplicate:
		return fmt.Errorf("schedules make %s, %s and %s jobs, not %q", messages.KindBackup, messages.KindRestoreTest, messages.KindReplicate, s.Kind)
	case s.Overlap != OverlapSkip && s.Overlap != OverlapQueue && s.Overlap != OverlapAllow:
		return fmt.Errorf("overlap is skip, queue or allow, not %q", s.Overlap)
	case s.CatchUp < 0 || s.Jitter < 0:
		return fmt.Errorf("catch-up window %v and jitter %v must not be negative", s.CatchUp, s.Jitter)
	}
	var sources []string
	for _, t := range s.Targets {
		if slices.Contains(sources, t.Source) {
			return fmt.Errorf("source %s is listed twice", t.Source)
		}
		sources = append(sources, t.Source)
		if err := s.job(t, time.Unix(0, 0)).Check(); err != nil {
			return fmt.Errorf("source %s: %w", t.Source, err)
		}
	}
	return nil
}

// definition identifies what makes the slots: when it changes, slots that the
// old definition has passed are not computed again under the new one.
func (s Schedule) definition() string {
	return s.Timing.String() + " " + s.zone().String()
}
