package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // so that time zones are known on machines without a database
)

// check looks for what a type cannot refuse: values out of range, names that
// refer to nothing, settings that contradict each other, and features that do
// not exist yet.
func (l *loader) check(c *Config) {
	l.checkBackup(&c.Backup)
	l.checkStorage(c)
	l.checkSchedules(c)
	l.checkRecovery(&c.DisasterRecovery)
	l.checkRegions(c)
	l.checkSources(c)
	l.checkNode(&c.Node)
	l.checkNATS(&c.NATS)
	l.checkJobs(&c.Jobs)
	l.checkPlaces(c)
	l.checkReplication(c)
	l.checkFailover(c)
}

func (l *loader) valuef(key, format string, args ...any) { l.value(key, fmt.Sprintf(format, args...)) }

// oneOf refuses a value that is not among the choices.
func (l *loader) oneOf(key, value, what string, choices ...string) {
	if !slices.Contains(choices, value) {
		err := notOneOf(value, what, choices)
		l.about(key, err.Error(), suggestionOf(err))
	}
}

// between refuses a number outside a range.
func (l *loader) between(key string, n, least, most int) {
	if n < least || n > most {
		l.valuef(key, "must be from %d to %d, not %d", least, most, n)
	}
}

// zone refuses a time zone that the IANA database does not have.
func (l *loader) zone(key, name string) {
	if name == "Local" {
		l.value(key, `"Local" means something else on every machine: name the zone, for example "Europe/Berlin"`)
		return
	}
	if _, err := time.LoadLocation(name); err != nil || name == "" {
		l.about(key, fmt.Sprintf(`%q is not a time zone: write a name of the IANA database, for example "UTC" or "Europe/Berlin"`, name), nearest(name, commonZones))
	}
}

// commonZones are the names offered when one is misspelt.
var commonZones = []string{
	"UTC", "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "America/Anchorage",
	"America/Argentina/Buenos_Aires", "America/Bogota", "America/Chicago", "America/Denver", "America/Halifax",
	"America/Lima", "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Phoenix",
	"America/Santiago", "America/Sao_Paulo", "America/Toronto", "America/Vancouver", "Asia/Bangkok", "Asia/Dhaka",
	"Asia/Dubai", "Asia/Hong_Kong", "Asia/Istanbul", "Asia/Jakarta", "Asia/Jerusalem", "Asia/Karachi",
	"Asia/Kolkata", "Asia/Manila", "Asia/Riyadh", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Taipei",
	"Asia/Tehran", "Asia/Tokyo", "Australia/Adelaide", "Australia/Brisbane", "Australia/Melbourne",
	"Australia/Perth", "Australia/Sydney", "Europe/Amsterdam", "Europe/Athens", "Europe/Berlin", "Europe/Brussels",
	"Europe/Bucharest", "Europe/Budapest", "Europe/Copenhagen", "Europe/Dublin", "Europe/Helsinki", "Europe/Istanbul",
	"Europe/Kyiv", "Europe/Lisbon", "Europe/London", "Europe/Madrid", "Europe/Moscow", "Europe/Oslo", "Europe/Paris",
	"Europe/Prague", "Europe/Rome", "Europe/Stockholm", "Europe/Vienna", "Europe/Warsaw", "Europe/Zurich",
	"Pacific/Auckland", "Pacific/Honolulu",
}

// maxName is how long a name may be, so that names fit subjects, paths and
// tables.
const maxName = 64

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// isName reports whether s can name a node, a region or a schedule; these
// become parts of message subjects, where a dot separates.
func isName(s string) bool {
	return s != "" && len(s) <= maxName && strings.IndexFunc(s, func(r rune) bool { return !isNameRune(r) }) < 0
}

const nameRule = "use letters, digits, dash and underscore, at most 64"

// isSourceName also allows dots inside.
func isSourceName(s string) bool {
	return isName(strings.ReplaceAll(s, ".", "-")) && s[0] != '.' && s[0] != '-'
}
