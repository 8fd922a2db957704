package scheduler

import (
	"errors"
	"fmt"
	"time"

	cron "github.com/netresearch/go-cron"

	"mahavishnu/config"
	"mahavishnu/fault"
)

// Timing says when a schedule is due by the wall clock, before any time zone
// is applied. [Cron] makes one; the zero value is never due.
type Timing struct {
	text string
	spec *cron.SpecSchedule
	// hourly marks a timing that is due in every hour of the day.
	hourly bool
}

const (
	everyHour = 1<<24 - 1
	// searchYears is how far ahead a slot is searched: 29 February can be eight
	// years away.
	searchYears = 9
)

// Cron reads an expression in the dialect of the configuration: five crontab
// fields or a descriptor such as @daily; see config.CustomSchedule.
func Cron(expression string) (Timing, error) {
	refuse := func(err error, hint string) (Timing, error) {
		return Timing{}, fault.New("read cron expression", fmt.Sprintf("%q", expression), err, hint)
	}
	parsed, err := config.ParseCron(expression)
	if err != nil {
		return refuse(err, "five fields are expected: minute hour day-of-month month day-of-week, as in '0 2 * * *'")
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return refuse(errors.New("it counts time and does not look at the clock"), "write five fields, for example */15 * * * *")
	}
	// The library is asked about UTC only: it loses and doubles slots where a
	// zone's clocks change. See DESIGN.md.
	spec.Location = time.UTC
	spec.MaxSearchYears = searchYears
	t := Timing{text: expression, spec: spec, hourly: spec.Hour&everyHour == everyHour}
	if _, ok := t.next(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return refuse(errors.New("it is never due"), "no such day exists: check the day of the month against the month")
	}
	return t, nil
}

// String returns the expression.
func (t Timing) String() string { return t.text }

// next returns the first wall-clock time after the given one. Wall-clock times
// are carried in the fields of a UTC time, where no hour is missing and none
// is doubled.
func (t Timing) next(wall time.Time) (time.Time, bool) {
	if t.spec == nil {
		return time.Time{}, false
	}
	next := t.spec.Next(wall)
	return next, !next.IsZero()
}
