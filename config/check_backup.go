package config

import (
	"slices"
	"strings"
	"time"
)

func (l *loader) checkBackup(b *Backup) {
	if !b.Encryption.Enabled {
		l.value("backup.encryption.enabled", "backups are always encrypted: write true, or remove the line")
	}
	if b.Encryption.Algorithm != "AES-256-GCM" {
		l.about("backup.encryption.algorithm", "backups are sealed with AES-256-GCM and nothing else", "AES-256-GCM")
	}
	if b.Encryption.KeyPath == "" {
		l.value("backup.encryption.key_path", "is empty: name the key ring file that `mahavishnu key create` makes")
	}
	l.checkCompression(b.Compression)
	v := b.Validation
	l.oneOf("backup.validation.checksum_algorithm", v.ChecksumAlgorithm, "a checksum algorithm", ChecksumSHA256, ChecksumBLAKE3)
	l.checkRetention(b.Retention)
	l.checkPrune(b.Prune)
	channels := []string{"email", "slack", "pagerduty", "webhook"}
	for i, name := range b.Monitoring.AlertChannels {
		l.oneOf(element("backup.monitoring.alert_channels", i), name, "an alert channel", channels...)
	}
}

func (l *loader) checkCompression(p Compression) {
	const algorithm, level = "backup.compression.algorithm", "backup.compression.level"
	l.oneOf(algorithm, p.Algorithm, "a compression algorithm", CompressionZstd, CompressionGzip, CompressionNone)
	switch {
	case p.Level == 0:
	case p.Algorithm == CompressionGzip && (p.Level < 1 || p.Level > 9):
		l.valuef(level, "gzip has the levels 1 to 9, and 0 for its default of 6, not %d", p.Level)
	case p.Algorithm == CompressionZstd && (p.Level < 1 || p.Level > 22):
		l.valuef(level, "zstd has the levels 1 to 22, and 0 for its default of 1, not %d", p.Level)
	case p.Algorithm == CompressionNone:
		l.value(level, "without compression there is no level: remove the line, or choose an algorithm")
	}
}

func (l *loader) checkRetention(r Retention) {
	for _, rule := range []struct {
		name string
		n    int
	}{
		{"keep_last", r.KeepLast},
		{"keep_hourly", r.KeepHourly},
		{"keep_daily", r.KeepDaily},
		{"keep_weekly", r.KeepWeekly},
		{"keep_monthly", r.KeepMonthly},
		{"keep_yearly", r.KeepYearly},
	} {
		if rule.n < 0 {
			l.valuef("backup.retention."+rule.name, "cannot be negative; 0 switches the rule off")
		}
	}
}

// tier refuses a retention that would delete each backup as soon as it is made.
func (l *loader) tier(key string, n, most int) {
	if n < 1 || n > most {
		l.valuef(key, "must be from 1 to %d, not %d: snapshots past it are deleted", most, n)
	}
}

func (l *loader) checkSchedules(c *Config) {
	s := &c.Backup.Schedules
	const at = "backup.schedules."
	l.tier(at+"daily_incremental.retention_days", s.DailyIncremental.RetentionDays, 36500)
	l.tier(at+"weekly_full.retention_weeks", s.WeeklyFull.RetentionWeeks, 5200)
	l.tier(at+"monthly_archival.retention_months", s.MonthlyArchival.RetentionMonths, 1200)
	l.checkPolicy(c, at+ScheduleDaily, s.DailyIncremental.Policy, day)
	l.checkPolicy(c, at+ScheduleWeekly, s.WeeklyFull.Policy, 7*day)
	l.checkPolicy(c, at+ScheduleMonthly, s.MonthlyArchival.Policy, 28*day)
	for name, custom := range s.Custom {
		l.checkCustom(c, name, custom)
	}
}

func (l *loader) checkCustom(c *Config, name string, s CustomSchedule) {
	key := "backup.schedules." + name
	if !isName(name) {
		l.valuef(key, "%q cannot name a schedule: %s", name, nameRule)
		return
	}
	if name == ScheduleRestoreTest {
		l.value(key, "this name belongs to disaster_recovery.automated_tests: choose another")
		return
	}
	if name == ScheduleReplication {
		l.value(key, "this name belongs to backup.replication: choose another")
		return
	}
	if s.Cron == "" && !l.given(key+".cron") {
		fixed := []string{ScheduleDaily, ScheduleWeekly, ScheduleMonthly}
		l.about(key, "a schedule of your own needs cron; the others are "+strings.Join(fixed, ", "), nearest(name, fixed))
		return
	}
	l.oneOf(key+".type", s.Type, "a type of backup", TypeIncremental, TypeFull, TypeArchival)
	gap := l.checkCron(key+".cron", s.Cron)
	l.checkPolicy(c, key, s.Policy, gap)
}

// firstSlot is a fixed time from which a schedule's slots are tried out, so that
// a configuration is good or bad whatever the date.
var firstSlot = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// checkCron refuses an expression that cannot be read or never fires, and
// returns the time between two of its slots.
func (l *loader) checkCron(key, expression string) (gap time.Duration) {
	schedule, err := ParseCron(expression)
	if err != nil {
		l.valuef(key, "%q is not a cron expression: %v", expression, err)
		return day
	}
	first := schedule.Next(firstSlot)
	if first.IsZero() {
		l.valuef(key, "%q never comes: no date matches it", expression)
		return day
	}
	gap = 366 * day
	for range 50 {
		second := schedule.Next(first)
		if second.IsZero() {
			break
		}
		gap, first = min(gap, second.Sub(first)), second
	}
	return gap
}

func (l *loader) checkPolicy(c *Config, key string, p SchedulePolicy, gap time.Duration) {
	l.zone(key+".timezone", p.Timezone)
	l.oneOf(key+".overlap", p.Overlap, "an overlap policy", OverlapSkip, OverlapQueue, OverlapAllow)
	if p.CatchUp.Std() > 366*day {
		l.valuef(key+".catch_up", "%s is more than a year", p.CatchUp)
	}
	if p.Jitter.Std() >= gap {
		l.valuef(key+".jitter", "%s would reach into the next slot, which comes after %s: make it shorter", p.Jitter, Duration(gap))
	}
	names := c.sourceNames()
	for i, source := range p.Sources {
		at := element(key+".sources", i)
		if !slices.Contains(names, source) {
			l.about(at, noSuch("source", source, "sources", names), nearest(source, names))
		} else if slices.Contains(p.Sources[:i], source) {
			l.valuef(at, "%q is listed twice", source)
		}
	}
}
