package config

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Types of backup.
const (
	TypeIncremental = "incremental"
	TypeFull        = "full"
	TypeArchival    = "archival"
)

// Kinds of job that schedules make.
const (
	KindBackup      = "backup"
	KindRestoreTest = "restore_test"
)

// The names of the schedules that every configuration has.
const (
	ScheduleDaily       = "daily_incremental"
	ScheduleWeekly      = "weekly_full"
	ScheduleMonthly     = "monthly_archival"
	ScheduleRestoreTest = "automated_tests"
	ScheduleReplication = "replication"
)

// Schedule is one schedule in the form the scheduler works with: those
// that every configuration has and one's own look the same.
type Schedule struct {
	// Name is the key under backup.schedules, or [ScheduleRestoreTest].
	Name string
	// Kind of job it makes: [KindBackup] or [KindRestoreTest].
	Kind string
	// Type of backup; empty for restore tests.
	Type string
	// Cron has five fields or a descriptor; [ParseCron] reads it.
	Cron string
	// Sources are the names of the sources it applies to, sorted.
	Sources []string
	// Policy is as configured, with the time zone and what to do about late and
	// overlapping runs; its Sources are those the schedule names itself.
	Policy SchedulePolicy
}

// Schedules returns the schedules that are on, sorted by name. It is empty
// when backup.enabled is false, but for the restore tests.
func (c *Config) Schedules() []Schedule {
	var all []Schedule
	s := &c.Backup.Schedules
	if c.Backup.Enabled {
		if d := s.DailyIncremental; d.Enabled {
			all = append(all, c.backupSchedule(ScheduleDaily, TypeIncremental, at(d.Time, "* * *"), d.Policy))
		}
		if w := s.WeeklyFull; w.Enabled {
			all = append(all, c.backupSchedule(ScheduleWeekly, TypeFull, at(w.Time, fmt.Sprintf("* * %d", w.Day)), w.Policy))
		}
		if m := s.MonthlyArchival; m.Enabled {
			all = append(all, c.backupSchedule(ScheduleMonthly, TypeArchival, at(m.Time, m.Day.cron()+" * *"), m.Policy))
		}
		for name, custom := range s.Custom {
			if custom.Enabled {
				all = append(all, c.backupSchedule(name, custom.Type, custom.Cron, custom.Policy))
			}
		}
	}
	if t := c.DisasterRecovery.AutomatedTests; t.Enabled {
		all = append(all, Schedule{
			Name: ScheduleRestoreTest, Kind: KindRestoreTest, Cron: t.cron(), Sources: c.sourceNames(),
			Policy: SchedulePolicy{Timezone: t.Timezone, CatchUp: Duration(day), Overlap: OverlapSkip},
		})
	}
	slices.SortFunc(all, func(a, b Schedule) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (c *Config) backupSchedule(name, kind, cron string, p SchedulePolicy) Schedule {
	return Schedule{Name: name, Kind: KindBackup, Type: kind, Cron: cron, Sources: c.sourcesOf(name, p), Policy: p}
}

// sourcesOf resolves the choice that schedules and sources make together: a
// pair belongs together when neither side chooses, or when one side names the
// other.
func (c *Config) sourcesOf(schedule string, p SchedulePolicy) []string {
	var names []string
	for _, name := range c.sourceNames() {
		chosen := c.Sources[name].Schedules
		named := slices.Contains(p.Sources, name) || slices.Contains(chosen, schedule)
		if named || (len(p.Sources) == 0 && len(chosen) == 0) {
			names = append(names, name)
		}
	}
	return names
}

func (c *Config) sourceNames() []string {
	names := make([]string, 0, len(c.Sources))
	for name := range c.Sources {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// at is a cron expression for a time of day on the days the rest describes.
func at(t TimeOfDay, days string) string {
	return fmt.Sprintf("%d %d %s", t.Minute, t.Hour, days)
}

func (d MonthDay) cron() string {
	if d == LastDay {
		return "L"
	}
	return d.String()
}

func (t AutomatedTests) cron() string {
	switch t.Schedule {
	case FrequencyDaily:
		return at(t.Time, "* * *")
	case FrequencyMonthly:
		return at(t.Time, fmt.Sprintf("* * %d#1", t.Day))
	default:
		return at(t.Time, fmt.Sprintf("* * %d", t.Day))
	}
}

// OnCreate reports whether a backup is followed by a verify of what it stored.
func (v Validation) OnCreate() bool { return v.Enabled && v.VerifyOnCreate }

// Due is how long stored data goes unverified before it is read again: so much
// before the promise is broken that a budget and a few missed runs do no harm.
func (v Validation) Due() time.Duration { return v.MaxUnverifiedAge.Std() * 3 / 4 }

// OnRestore reports whether a restore reads back and compares what it wrote.
func (v Validation) OnRestore() bool { return v.Enabled && v.VerifyOnRestore }

// ServesMetrics reports whether /metrics is served.
func (m Monitoring) ServesMetrics() bool { return m.Enabled && m.MetricsEnabled }

// EffectiveSlots returns how many jobs run at once, which is never 0.
func (n Node) EffectiveSlots() int {
	if n.Slots > 0 {
		return n.Slots
	}
	return max(1, runtime.GOMAXPROCS(0)/2)
}

// EffectiveCompression returns the algorithm and level in force: "none" when
// compression is off, and never level 0 for the others.
func (c *Config) EffectiveCompression() (algorithm string, level int) {
	p := c.Backup.Compression
	switch {
	case !p.Enabled || p.Algorithm == CompressionNone:
		return CompressionNone, 0
	case p.Level != 0:
		return p.Algorithm, p.Level
	case p.Algorithm == CompressionGzip:
		return CompressionGzip, 6
	default:
		return CompressionZstd, 1
	}
}
