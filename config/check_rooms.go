package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// scenarios are the disasters that can be rehearsed.
var scenarios = []string{
	"single_server_failure", "region_failure", "database_corruption", "network_partition", "data_deletion",
}

func element(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

// noSuch says that a name refers to nothing, and which names there are.
func noSuch(what, name, section string, there []string) string {
	text := fmt.Sprintf("there is no %s named %q in %s", what, name, section)
	if len(there) == 0 {
		return text + ", which is empty"
	}
	if len(there) <= 8 {
		text += "; known names: " + strings.Join(there, ", ")
	}
	return text
}

func (l *loader) checkRecovery(d *DisasterRecovery) {
	const at = "disaster_recovery."
	const minutesPerYear = 366 * 24 * 60
	l.between(at+"rto_target_minutes", d.RTOTargetMinutes, 1, minutesPerYear)
	l.between(at+"rpo_target_minutes", d.RPOTargetMinutes, 1, minutesPerYear)
	standby := d.HotStandby
	if standby.Enabled && standby.Endpoint == "" {
		l.missing(at+"hot_standby.endpoint", "is missing, but the standby is enabled: name its https URL", at+"hot_standby")
	}
	l.between(at+"hot_standby.heartbeat_interval_seconds", standby.HeartbeatIntervalSeconds, 1, 3600)
	if u, err := url.Parse(standby.Endpoint); standby.Endpoint != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		l.value(at+"hot_standby.endpoint", "must be an https URL with a host, for example https://standby.example.com")
	}
	tests := d.AutomatedTests
	l.oneOf(at+"automated_tests.schedule", tests.Schedule, "a frequency of tests",
		FrequencyDaily, FrequencyWeekly, FrequencyMonthly)
	l.zone(at+"automated_tests.timezone", tests.Timezone)
	l.oneOf(at+"drills.frequency", d.Drills.Frequency, "a frequency of drills",
		FrequencyWeekly, FrequencyMonthly, FrequencyQuarterly)
	for i, name := range d.Drills.Scenarios {
		key := element(at+"drills.scenarios", i)
		l.oneOf(key, name, "a scenario", scenarios...)
		if slices.Contains(d.Drills.Scenarios[:i], name) {
			l.valuef(key, "%q is listed twice", name)
		}
	}
	if d.Drills.Enabled && len(d.Drills.Scenarios) == 0 {
		l.value(at+"drills.scenarios", "is empty: name what to rehearse, or write enabled: false")
	}
}

// AnyRegion addresses whichever region can.
const AnyRegion = "any"

func (l *loader) checkRegions(c *Config) {
	if len(c.Regions) == 0 {
		l.value("regions", "is empty: name at least one region")
	}
	for i, name := range c.Regions {
		key := element("regions", i)
		switch {
		case name == AnyRegion:
			l.value(key, `"any" stands for all regions: choose another name`)
		case !isName(name):
			l.valuef(key, "%q cannot name a region: %s", name, nameRule)
		case slices.Contains(c.Regions[:i], name):
			l.valuef(key, "%q is listed twice", name)
		}
	}
	switch {
	case c.Node.Region == "" && len(c.Regions) > 1:
		l.missing("node.region", "there are several regions: say which this machine is in, here, "+
			"by --region or by MAHAVISHNU_NODE_REGION", "regions", "node")
	case c.Node.Region != "" && !slices.Contains(c.Regions, c.Node.Region):
		l.about("node.region", noSuch("region", c.Node.Region, "regions", c.Regions), nearest(c.Node.Region, c.Regions))
	}
}

func (l *loader) checkSources(c *Config) {
	schedules := []string{ScheduleDaily, ScheduleMonthly, ScheduleWeekly}
	for name := range c.Backup.Schedules.Custom {
		schedules = append(schedules, name)
	}
	slices.Sort(schedules)
	for _, name := range c.sourceNames() {
		key, s := "sources."+name, c.Sources[name]
		if !isSourceName(name) {
			l.valuef(key, "%q cannot name a source: use letters, digits, dot, dash and underscore, at most 64, "+
				"and start with neither dot nor dash", name)
		}
		if s.Path == "" {
			l.missing(key+".path", "is missing: name the directory to protect", key)
		}
		l.checkSourceRegion(c, key+".region", s.Region)
		l.checkAlsoFrom(c, key+".also_from", s)
		for i, pattern := range s.Exclude {
			if strings.TrimSpace(pattern) == "" {
				l.value(element(key+".exclude", i), "is empty: write a pattern, or remove it")
			}
		}
		for i, tag := range s.Tags {
			if tag == "" || len(tag) > maxName || strings.ContainsAny(tag, ", \t\n") {
				l.value(element(key+".tags", i), "a tag has 1 to 64 characters, without spaces and commas")
			}
		}
		for i, schedule := range s.Schedules {
			if !slices.Contains(schedules, schedule) {
				l.about(element(key+".schedules", i), noSuch("schedule", schedule, "backup.schedules", schedules), nearest(schedule, schedules))
			}
		}
	}
}

func (l *loader) checkSourceRegion(c *Config, key, region string) {
	switch {
	case region == AnyRegion || slices.Contains(c.Regions, region):
	case region == "":
		l.missing(key, fmt.Sprintf(`there are several regions: say which can read the path (%s), or "any"`, strings.Join(c.Regions, ", ")), "regions")
	default:
		l.about(key, noSuch("region", region, "regions", c.Regions), nearest(region, c.Regions))
	}
}

// checkAlsoFrom checks who else can read a source.
func (l *loader) checkAlsoFrom(c *Config, key string, s Source) {
	for i, region := range s.AlsoFrom {
		switch {
		case s.Region == AnyRegion:
			l.value(element(key, i), `is of no use: region "any" says that all regions can read the path`)
		case region == s.Region:
			l.valuef(element(key, i), "%s is the source's own region: name others", region)
		case !slices.Contains(c.Regions, region):
			l.about(element(key, i), noSuch("region", region, "regions", c.Regions), nearest(region, c.Regions))
		case slices.Contains(s.AlsoFrom[:i], region):
			l.valuef(element(key, i), "%q is listed twice", region)
		}
	}
}

func (l *loader) checkNode(n *Node) {
	if !isName(n.Name) {
		l.valuef("node.name", "%q cannot name a node: %s", n.Name, nameRule)
	}
	if n.DataDir == "" {
		l.value("node.data_dir", "is empty: name a directory")
	}
	l.between("node.slots", n.Slots, 0, 1024)
	if n.Listen != "" {
		l.checkListen("node.listen", n.Listen)
	}
	l.oneOf("node.log_level", n.LogLevel, "a log level", "debug", "info", "warn", "error")
	l.oneOf("node.log_format", n.LogFormat, "a log format", "auto", "text", "json")
}

func (l *loader) checkJobs(j *Jobs) {
	l.between("jobs.max_attempts", j.MaxAttempts, 1, 1000)
	if j.RetryFirst <= 0 {
		l.value("jobs.retry_first", "must be more than nothing: a job that fails at once would be tried without a pause")
	}
	if j.RetryMax < j.RetryFirst {
		l.valuef("jobs.retry_max", "%s is less than retry_first, %s", j.RetryMax, j.RetryFirst)
	}
	if least, most := Duration(3e9), Duration(600e9); j.AckWait < least || j.AckWait > most {
		l.valuef("jobs.ack_wait", "must be from %s to %s, not %s", least, most, j.AckWait)
	}
	if j.Deadline != 0 && j.Deadline < j.AckWait {
		l.valuef("jobs.deadline", "%s is less than ack_wait, %s: no job would live long enough to report", j.Deadline, j.AckWait)
	}
}
