package config

// DisasterRecovery holds the objectives and the rehearsals that prove them.
type DisasterRecovery struct {
	// Recovery time objective: minutes until service is back. Restore tests that
	// take longer miss their target (exit code 6).
	RTOTargetMinutes int `yaml:"rto_target_minutes"`
	// Recovery point objective: minutes of work that may be lost.
	RPOTargetMinutes int `yaml:"rpo_target_minutes"`
	// A second system that takes over, watched from here; see failover.
	HotStandby HotStandby `yaml:"hot_standby" reload:"restart"`
	// Restore tests: the newest snapshot of each source restored to staging and
	// compared.
	AutomatedTests AutomatedTests `yaml:"automated_tests"`
	// Rehearsals of whole disasters. They cannot run yet: while they are on,
	// every start prints a notice.
	Drills Drills `yaml:"drills"`
}

// HotStandby is a second system that takes over.
type HotStandby struct {
	// Whether a standby is watched: coordinators ask its endpoint for its health and
	// vote on it as the service "hot-standby".
	Enabled bool `yaml:"enabled"`
	// The standby's address, an https URL.
	Endpoint string `yaml:"endpoint"`
	// Seconds between two looks at it.
	HeartbeatIntervalSeconds int `yaml:"heartbeat_interval_seconds"`
}

// How often tests and drills run.
const (
	FrequencyDaily     = "daily"
	FrequencyWeekly    = "weekly"
	FrequencyMonthly   = "monthly"
	FrequencyQuarterly = "quarterly"
)

// AutomatedTests are the restore tests.
type AutomatedTests struct {
	// Whether restore tests run by themselves.
	Enabled bool `yaml:"enabled"`
	// How often: "daily", "weekly" or "monthly" (on the first such day of the month).
	Schedule string `yaml:"schedule"`
	// The day of the week, by its English name; without meaning for daily tests.
	Day Weekday `yaml:"day"`
	// When, as "HH:MM" on a 24-hour clock.
	Time TimeOfDay `yaml:"time"`
	// The time zone, as the IANA database names it.
	Timezone string `yaml:"timezone"`
}

// Drills are rehearsals of whole disasters.
type Drills struct {
	// Whether drills run by themselves. They cannot yet; see the notice.
	Enabled bool `yaml:"enabled"`
	// How often: "weekly", "monthly" or "quarterly".
	Frequency string `yaml:"frequency"`
	// Which disasters: "single_server_failure", "region_failure",
	// "database_corruption", "network_partition", "data_deletion".
	Scenarios []string `yaml:"scenarios"`
}
