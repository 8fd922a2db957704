package config

import (
	"slices"
	"time"
)

// Default returns the configuration that an empty file means. Paths are
// relative; loading makes them absolute.
func Default() *Config {
	return &Config{
		Backup: Backup{
			Enabled:   true,
			Directory: "./backups",
			Schedules: Schedules{
				DailyIncremental: DailySchedule{
					Enabled: true, Time: TimeOfDay{Hour: 2}, RetentionDays: 7,
					Policy: defaultPolicy(24 * time.Hour),
				},
				WeeklyFull: WeeklySchedule{
					Enabled: true, Day: Weekday(time.Sunday), Time: TimeOfDay{Hour: 3}, RetentionWeeks: 4,
					Policy: defaultPolicy(3 * day),
				},
				MonthlyArchival: MonthlySchedule{
					Enabled: true, Day: 1, Time: TimeOfDay{Hour: 4}, RetentionMonths: 12,
					Policy: defaultPolicy(7 * day),
				},
			},
			Prune: Prune{
				Enabled: true, Every: Duration(day), MaxUnused: 5, Wait: Duration(10 * time.Minute),
			},
			Encryption:  Encryption{Enabled: true, Algorithm: "AES-256-GCM", KeyPath: "/etc/mahavishnu/backup_key"},
			Compression: Compression{Enabled: true, Algorithm: CompressionZstd},
			Storage: Storage{
				Create: CreateAuto, Local: LocalStorage{Enabled: true, Path: "./backups", Parity: true},
				Limits:  StorageLimits{Timezone: "UTC"},
				Retries: StorageRetries{Attempts: 8, First: Duration(200 * time.Millisecond), Max: Duration(20 * time.Second), GiveUp: Duration(5 * time.Minute)},
			},
			Replication: Replication{RunIn: RunInSecondary, Interval: Duration(5 * time.Minute), DeleteAfterDays: 7, Shards: 1, VerifyShare: 1},
			Validation: Validation{
				Enabled: true, ChecksumAlgorithm: ChecksumSHA256, VerifyOnCreate: true, VerifyOnRestore: true,
				VerifyPerRun: 16 << 30, MaxUnverifiedAge: Duration(30 * day),
			},
			Monitoring: Monitoring{Enabled: true, MetricsEnabled: true},
		},
		DisasterRecovery: DisasterRecovery{
			RTOTargetMinutes: 15,
			RPOTargetMinutes: 5,
			HotStandby:       HotStandby{HeartbeatIntervalSeconds: 30},
			AutomatedTests: AutomatedTests{
				Enabled: true, Schedule: FrequencyWeekly, Day: Weekday(time.Saturday),
				Time: TimeOfDay{Hour: 5}, Timezone: "UTC",
			},
			Drills: Drills{Frequency: FrequencyMonthly, Scenarios: slices.Clone(scenarios)},
		},
		Regions: []string{"local"},
		Node: Node{
			DataDir: "./data", Listen: "127.0.0.1:9475", Grace: Duration(30 * time.Second),
			LogLevel: "info", LogFormat: "auto",
		},
		NATS: NATS{
			Listen: "127.0.0.1:4222",
			Lease: Lease{
				Duration: Duration(15 * time.Second), RenewInterval: Duration(2 * time.Second),
				RenewDeadline: Duration(10 * time.Second), StopTime: Duration(2 * time.Second),
				Margin: Duration(time.Second),
			},
		},
		Jobs: Jobs{
			MaxAttempts: 5, RetryFirst: Duration(5 * time.Second), RetryMax: Duration(15 * time.Minute),
			AckWait: Duration(30 * time.Second),
		},
		Failover: defaultFailover(),
	}
}

func defaultPolicy(catchUp time.Duration) SchedulePolicy {
	return SchedulePolicy{Timezone: "UTC", CatchUp: Duration(catchUp), Overlap: OverlapSkip}
}

// setDefaults fills in what a region's storage means when it says nothing.
func (s *RegionStorage) setDefaults() { s.Local.Parity = true }

// setDefaults fills in what a schedule of one's own means when it says nothing.
func (s *CustomSchedule) setDefaults() {
	*s = CustomSchedule{Enabled: true, Type: TypeIncremental, Policy: defaultPolicy(day)}
}
