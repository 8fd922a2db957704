package scheduler

import (
	"errors"
	"fmt"
	"strings"
	"time"

	cron "github.com/netresearch/go-cron"

	"mahavishnu/fault"
)

// Timing says when a schedule is due by the wall clock, before any time zone
// is applied. Build one with [Daily], [Weekly], [Monthly], [Cron] or [Every].
type Timing struct {
	text string
	// next returns the first wall-clock time after the given one. Wall-clock
	// times are carried in the fields of a UTC time, where no hour is missing
	// and none is doubled.
	next func(wall time.Time) (time.Time, bool)
	// hourly marks a timing that is due in every hour of the day.
	hourly bool
	// period is set for a timing that counts elapsed time and knows no wall clock.
	period time.Duration
}

// String returns the timing as an operator would write it.
func (t Timing) String() string { return t.text }

// IsZero reports whether the timing was never set.
func (t Timing) IsZero() bool { return t.next == nil && t.period == 0 }

// Daily is due once a day at "HH:MM".
func Daily(at string) (Timing, error) {
	clock, err := parseTimeOfDay(at)
	if err != nil {
		return Timing{}, err
	}
	return Timing{
		text: "daily at " + at,
		next: byDay(clock, func(time.Time) bool { return true }),
	}, nil
}

// Weekly is due once a week, on the named day ("sunday" or "sun") at "HH:MM".
func Weekly(day, at string) (Timing, error) {
	clock, err := parseTimeOfDay(at)
	if err != nil {
		return Timing{}, err
	}
	weekday, err := parseWeekday(day)
	if err != nil {
		return Timing{}, err
	}
	return Timing{
		text: fmt.Sprintf("weekly on %s at %s", strings.ToLower(weekday.String()), at),
		next: byDay(clock, func(d time.Time) bool { return d.Weekday() == weekday }),
	}, nil
}

// Monthly is due once a month, on day 1 to 31 at "HH:MM". In a month that is
// too short it is due on the last day: a monthly backup is never left out.
func Monthly(day int, at string) (Timing, error) {
	clock, err := parseTimeOfDay(at)
	if err != nil {
		return Timing{}, err
	}
	if day < 1 || day > 31 {
		return Timing{}, fault.New("read schedule", fmt.Sprintf("day %d", day), nil, "give a day of the month from 1 to 31")
	}
	return Timing{
		text: fmt.Sprintf("monthly on day %d at %s", day, at),
		next: byDay(clock, func(d time.Time) bool {
			last := time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
			return d.Day() == min(day, last)
		}),
	}, nil
}

// Every is due each time that many seconds have passed, counted from the Unix
// epoch so that every scheduler computes the same slots whenever it started.
func Every(period time.Duration) (Timing, error) {
	if period < time.Second || period%time.Second != 0 {
		return Timing{}, fault.New("read schedule", "@every "+period.String(), nil, "use whole seconds, at least one: @every 5m")
	}
	return Timing{text: "@every " + period.String(), period: period}, nil
}

// cronYears is how far ahead a cron expression is searched. Leap days can lie
// eight years apart, and one that falls on a given weekday forty.
const cronYears = 41

// Cron is due when the five-field crontab expression says so (minute, hour,
// day of month, month, day of week; also @hourly, @daily, @weekly, @monthly,
// @yearly, @every DURATION, L for the last day, FRI#2 for the second Friday).
// As in every crontab, when both day fields are restricted either suffices.
func Cron(expression string) (Timing, error) {
	refuse := func(err error, hint string) (Timing, error) {
		return Timing{}, fault.New("read cron expression", fmt.Sprintf("%q", expression), err, hint)
	}
	text := strings.TrimSpace(expression)
	if rest, ok := strings.CutPrefix(text, "@every "); ok {
		period, err := time.ParseDuration(strings.TrimSpace(rest))
		if err != nil {
			return refuse(err, "write @every 5m, @every 1h30m")
		}
		return Every(period)
	}
	if strings.Contains(text, "TZ=") {
		return refuse(nil, "set the zone with the schedule's timezone key, not inside the expression")
	}
	parser, err := cron.TryNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow |
		cron.Descriptor | cron.Extended | cron.DowOrDom)
	if err != nil {
		return refuse(err, "")
	}
	parsed, err := parser.WithMaxSearchYears(cronYears).Parse(text)
	if err != nil {
		return refuse(err, "five fields are expected: minute hour day-of-month month day-of-week, as in '0 2 * * *'")
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return refuse(fmt.Errorf("unexpected schedule %T", parsed), "")
	}
	spec.Location = time.UTC // the library is asked in UTC only, see DESIGN.md
	timing := Timing{text: text, hourly: spec.Hour&everyHour == everyHour, next: func(wall time.Time) (time.Time, bool) {
		next := spec.Next(wall)
		return next, !next.IsZero()
	}}
	if _, ok := timing.next(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return refuse(errors.New("it is never due"), "no such day exists: check day of month against month")
	}
	return timing, nil
}

const everyHour = 1<<24 - 1

// byDay is due at that time of day on the days that match.
func byDay(clock time.Duration, match func(day time.Time) bool) func(time.Time) (time.Time, bool) {
	return func(wall time.Time) (time.Time, bool) {
		day := wall.Truncate(24 * time.Hour)
		if !day.Add(clock).After(wall) {
			day = day.AddDate(0, 0, 1)
		}
		for range 400 { // a year holds a day of every kind
			if match(day) {
				return day.Add(clock), true
			}
			day = day.AddDate(0, 0, 1)
		}
		return time.Time{}, false
	}
}

func parseTimeOfDay(text string) (time.Duration, error) {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fault.New("read time of day", fmt.Sprintf("%q", text), nil, `write hours and minutes on a 24-hour clock, in quotes: "02:00"`)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

func parseWeekday(text string) (time.Weekday, error) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		name := day.String()
		if strings.EqualFold(text, name) || strings.EqualFold(text, name[:3]) {
			return day, nil
		}
	}
	return 0, fault.New("read day of week", fmt.Sprintf("%q", text), nil, "name a day: sunday, monday, ... saturday")
}
