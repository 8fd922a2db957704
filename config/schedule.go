package config

// Schedules are three that every configuration has, and any number of your own.
type Schedules struct {
	// Every day: reads what changed since the last backup.
	DailyIncremental DailySchedule `yaml:"daily_incremental"`
	// Every week: reads everything, the baseline.
	WeeklyFull WeeklySchedule `yaml:"weekly_full"`
	// Every month: reads everything, compressed hardest, kept longest.
	MonthlyArchival MonthlySchedule `yaml:"monthly_archival"`
	// Schedules of your own, by name.
	Custom map[string]CustomSchedule `yaml:",rest"`
}

// DailySchedule runs once a day and makes incremental backups.
type DailySchedule struct {
	// Whether this schedule exists. Its retention applies to incremental
	// snapshots even when it is off.
	Enabled bool `yaml:"enabled"`
	// When, as "HH:MM" on a 24-hour clock in the schedule's time zone.
	Time TimeOfDay `yaml:"time"`
	// How many days an incremental snapshot is kept; at least 1.
	RetentionDays int `yaml:"retention_days"`
	// What all schedules have in common.
	Policy SchedulePolicy `yaml:",inline"`
}

// WeeklySchedule runs once a week and makes full backups.
type WeeklySchedule struct {
	// Whether this schedule exists. Its retention applies to full snapshots even
	// when it is off.
	Enabled bool `yaml:"enabled"`
	// The day of the week, by its English name.
	Day Weekday `yaml:"day"`
	// When, as "HH:MM" on a 24-hour clock in the schedule's time zone.
	Time TimeOfDay `yaml:"time"`
	// How many weeks a full snapshot is kept; at least 1.
	RetentionWeeks int `yaml:"retention_weeks"`
	// What all schedules have in common.
	Policy SchedulePolicy `yaml:",inline"`
}

// MonthlySchedule runs once a month and makes archival backups.
type MonthlySchedule struct {
	// Whether this schedule exists. Its retention applies to archival snapshots
	// even when it is off.
	Enabled bool `yaml:"enabled"`
	// The day of the month: 1 to 28, or "last". 29, 30 and 31 are refused because
	// some months lack them.
	Day MonthDay `yaml:"day"`
	// When, as "HH:MM" on a 24-hour clock in the schedule's time zone.
	Time TimeOfDay `yaml:"time"`
	// How many months an archival snapshot is kept; at least 1.
	RetentionMonths int `yaml:"retention_months"`
	// What all schedules have in common.
	Policy SchedulePolicy `yaml:",inline"`
}

// CustomSchedule runs when its cron expression says.
type CustomSchedule struct {
	// Whether this schedule exists.
	Enabled bool `yaml:"enabled"`
	// When, as five cron fields: minute, hour, day of the month, month and day of the week.
	// "*/15 * * * *" is every quarter of an hour. As in crontab(5), a job runs
	// when either the day of month or the day of week matches, if both are given.
	// "L" is the last day of a month, "FRI#3" the third Friday. @hourly, @daily,
	// @weekly, @monthly and @yearly work; @every and @reboot do not, because
	// their slots depend on when a process started.
	Cron string `yaml:"cron"`
	// What kind of backup: "incremental", "full" or "archival".
	Type string `yaml:"type"`
	// What all schedules have in common.
	Policy SchedulePolicy `yaml:",inline"`
}

// What happens when a slot comes up while the previous run is still going.
const (
	OverlapSkip  = "skip"
	OverlapQueue = "queue"
	OverlapAllow = "allow"
)

// SchedulePolicy is what all schedules have in common.
type SchedulePolicy struct {
	// The time zone of the times and of the retention's calendar, as the IANA
	// database names it ("Europe/Berlin"). "Local" is refused: machines differ.
	// A time that daylight saving skips runs once, right after the gap; one that
	// it repeats runs once, the first time, but for schedules due every hour.
	Timezone string `yaml:"timezone"`
	// The names of the sources. Empty: every source that does not choose its
	// schedules itself.
	Sources []string `yaml:"sources"`
	// How late a slot may still be started after an outage; older ones are counted
	// as missed. Of several missed slots only the newest runs. 0s: never late. The
	// default is 1d, for weekly_full 3d, for monthly_archival 7d.
	CatchUp Duration `yaml:"catch_up"`
	// What happens when a slot comes up while the source's previous run of this
	// schedule is still going: "skip" the slot, "queue" one run behind it, or
	// "allow" both at once. A skipped slot is counted.
	Overlap string `yaml:"overlap"`
	// Each slot starts up to this much later, by an amount that depends only on
	// schedule, source and slot, so that many sources do not start together.
	// 0s: exactly on time.
	Jitter Duration `yaml:"jitter"`
	// With true no slot is started until it is false again; slots passed
	// meanwhile are counted as skipped and not caught up.
	Paused bool `yaml:"paused"`
}

// Retention keeps snapshots by count and age. 0 switches a rule off.
type Retention struct {
	// Keep the newest N snapshots of each source.
	KeepLast int `yaml:"keep_last"`
	// Keep the newest snapshot of each of the last N hours that have one.
	KeepHourly int `yaml:"keep_hourly"`
	// Keep the newest snapshot of each of the last N days that have one.
	KeepDaily int `yaml:"keep_daily"`
	// Keep the newest snapshot of each of the last N ISO weeks that have one.
	KeepWeekly int `yaml:"keep_weekly"`
	// Keep the newest snapshot of each of the last N months that have one.
	KeepMonthly int `yaml:"keep_monthly"`
	// Keep the newest snapshot of each of the last N years that have one.
	KeepYearly int `yaml:"keep_yearly"`
	// Keep everything younger than this.
	KeepWithin Duration `yaml:"keep_within"`
}
