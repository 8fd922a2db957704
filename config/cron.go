package config

import (
	"errors"
	"strings"

	"github.com/netresearch/go-cron"
)

// cronFields is the dialect: five fields, or a descriptor; L, # and W in the
// day fields; the crontab(5) rule that either day field matches.
const cronFields = cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow |
	cron.Descriptor | cron.Extended | cron.DowOrDom

// ParseCron reads a cron expression in the dialect that [CustomSchedule]
// describes. The schedule's Next works in the location of the time it is given.
func ParseCron(expression string) (cron.Schedule, error) {
	e := strings.TrimSpace(expression)
	if e == "" {
		return nil, errors.New("it is empty: write five fields, for example 0 2 * * *")
	}
	if strings.HasPrefix(e, "@every") || strings.HasPrefix(e, "@reboot") {
		return nil, errors.New("its slots would depend on when a process started: write five fields, for example */15 * * * *")
	}
	if strings.Contains(e, "TZ=") {
		return nil, errors.New("the time zone belongs in timezone, not in the expression")
	}
	parser, err := cron.TryNewParser(cronFields)
	if err != nil {
		return nil, err
	}
	return parser.Parse(e)
}
