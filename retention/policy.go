package retention

import (
	"fmt"
	"time"

	"mahavishnu/config"
)

// Snapshot is what the rules look at.
type Snapshot struct {
	ID     string
	Source string
	// Type is incremental, full or archival.
	Type string
	// Time is when the snapshot was taken.
	Time time.Time
	// Pinned is why somebody wants it kept; empty when nobody does.
	Pinned string
	// Damaged is what is wrong with it; empty for a good one.
	Damaged string
}

// Policy says what is kept. The zero value keeps everything.
type Policy struct {
	// Zone is whose calendar counts; nil means UTC.
	Zone *time.Location
	// Tiers keep each type of backup for an age.
	Tiers map[string]Span
	// Keep the newest snapshot of each of the last n periods that have one; 0
	// is no rule.
	Last, Hourly, Daily, Weekly, Monthly, Yearly int
	// Within keeps everything younger; 0 is no rule.
	Within time.Duration
}

// Span is a length of time on the calendar.
type Span struct {
	Months, Weeks, Days int
}

// String returns the span as people write it: "12 months".
func (s Span) String() string {
	text := ""
	for _, part := range []struct {
		n    int
		unit string
	}{{s.Months, "month"}, {s.Weeks, "week"}, {s.Days, "day"}} {
		if part.n == 0 {
			continue
		}
		if text != "" {
			text += " and "
		}
		text += counted(part.n, part.unit)
	}
	if text == "" {
		return "no time"
	}
	return text
}

// before returns the instant that lies the span before t on the calendar of t's
// zone: the first at which clocks there show that day and time. A day that its
// month does not have is the month's last: one month before 31 March is 28 or 29
// February. A time that clocks skip is the end of the jump, and of one that they
// show twice it is the first, so that neither costs a snapshot.
func (s Span) before(t time.Time) time.Time {
	wall := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	if s.Months != 0 {
		first := time.Date(wall.Year(), wall.Month()-time.Month(s.Months), 1, 0, 0, 0, 0, time.UTC)
		last := time.Date(first.Year(), first.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
		wall = time.Date(first.Year(), first.Month(), min(wall.Day(), last), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC)
	}
	return firstShown(wall.AddDate(0, 0, -7*s.Weeks-s.Days), t.Location())
}

// firstShown returns the first instant at which clocks in the zone show wall,
// whose fields are those of a UTC time, or the end of the jump that leaves it out.
func firstShown(wall time.Time, zone *time.Location) time.Time {
	const reach = 48 * time.Hour // more than any zone is away from UTC
	for at, passed := wall.Add(-reach), false; ; passed = true {
		start, end := at.In(zone).ZoneBounds()
		_, offset := at.In(zone).Zone()
		shown := wall.Add(-time.Duration(offset) * time.Second)
		switch {
		case passed && shown.Before(start):
			return start.In(zone) // clocks jumped from before wall to after it
		case end.IsZero() || shown.Before(end):
			return shown.In(zone)
		}
		at = end
	}
}

// FromConfig returns the policy of a configuration: the tiers of its three
// schedules, its rules, and the time zone of its daily schedule.
func FromConfig(b config.Backup) (Policy, error) {
	s := b.Schedules
	zone, err := time.LoadLocation(s.DailyIncremental.Policy.Timezone)
	if err != nil {
		return Policy{}, fmt.Errorf("time zone of retention: %w", err)
	}
	r := b.Retention
	return Policy{
		Zone: zone,
		Tiers: map[string]Span{
			config.TypeIncremental: {Days: s.DailyIncremental.RetentionDays},
			config.TypeFull:        {Weeks: s.WeeklyFull.RetentionWeeks},
			config.TypeArchival:    {Months: s.MonthlyArchival.RetentionMonths},
		},
		Last: r.KeepLast, Hourly: r.KeepHourly, Daily: r.KeepDaily, Weekly: r.KeepWeekly,
		Monthly: r.KeepMonthly, Yearly: r.KeepYearly, Within: time.Duration(r.KeepWithin),
	}, nil
}

// counts reports whether a rule keeps by count or age whatever the type.
func (p Policy) counts() bool {
	return p.Last > 0 || p.Hourly > 0 || p.Daily > 0 || p.Weekly > 0 || p.Monthly > 0 || p.Yearly > 0 || p.Within > 0
}

func counted(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
