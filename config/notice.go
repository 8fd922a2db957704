package config

import (
	"fmt"
	"slices"
)

// Notice is something the operator should know though nothing is wrong: a
// setting that is on but cannot take effect yet, or a configuration that
// protects nothing.
type Notice struct {
	// Key is the dotted path of the setting.
	Key string
	// Message is a whole sentence.
	Message string
}

// String renders "key: message".
func (n Notice) String() string { return n.Key + ": " + n.Message }

// Notices returns what the operator should be told at every start.
func (c *Config) Notices() []Notice {
	var all []Notice
	add := func(on bool, key, message string) {
		if on {
			all = append(all, Notice{key, message})
		}
	}
	m := c.Backup.Monitoring
	add(m.Enabled && m.AlertOnFailure, "backup.monitoring.alert_on_failure",
		"Alerts cannot be sent yet; a failure shows in the exit code, the job's record, the events and the metrics.")
	add(c.DisasterRecovery.Drills.Enabled, "disaster_recovery.drills.enabled",
		"Drills cannot run yet; until they can, rehearse by hand.")
	add(!c.Backup.Enabled, "backup.enabled",
		"Nothing is backed up by itself; only backups asked for by a person or a message run.")
	add(len(c.Sources) == 0, "sources",
		"There is no source, so nothing is backed up by itself; name the directories to protect under sources.")
	return slices.Concat(c.origin.unread, all, c.idleNotices(), c.keyNotices(), c.lockNotices(), c.failoverNotices())
}

// keyNotices names the sources that would back up the key ring: a copy that can
// only be read by whoever has the key is no copy, and restores spread it.
func (c *Config) keyNotices() []Notice {
	var all []Notice
	for _, name := range c.sourceNames() {
		s := c.Sources[name]
		if s.Region != AnyRegion && s.Region != c.Node.Region {
			continue
		}
		if rel, left := leftIn(s, c.Backup.Encryption.KeyPath); left {
			all = append(all, Notice{"sources." + name, fmt.Sprintf("The key ring lies inside this source and would be backed up "+
				"under its own lock; keep a recovery copy elsewhere, and exclude %q.", "/"+rel)})
		}
	}
	return all
}

// idleNotices names what is configured but never used: sources that no schedule
// backs up, and schedules without a source.
func (c *Config) idleNotices() []Notice {
	if !c.Backup.Enabled || len(c.Sources) == 0 {
		return nil
	}
	var all []Notice
	covered := map[string]bool{}
	for _, s := range c.Schedules() {
		if s.Kind != KindBackup {
			continue
		}
		if len(s.Sources) == 0 {
			all = append(all, Notice{"backup.schedules." + s.Name, "No source is backed up by this schedule."})
		}
		for _, source := range s.Sources {
			covered[source] = covered[source] || !s.Policy.Paused
		}
	}
	for _, name := range c.sourceNames() {
		if !covered[name] {
			all = append(all, Notice{"sources." + name, "No schedule backs up this source."})
		}
	}
	return all
}
