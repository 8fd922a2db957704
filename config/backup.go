package config

// Backup says what is backed up when, how, where to, and for how long it is kept.
type Backup struct {
	// Whether the schedules run. With false nothing is backed up by itself;
	// backups asked for by a person or by a message still run.
	Enabled bool `yaml:"enabled"`
	// Where the repository lives: the short form of storage.local.path. Give
	// either; given both, they must name the same directory.
	Directory string `yaml:"directory" reload:"restart"`
	// When backups are made. Beside the three fixed names, any other name is a
	// schedule of your own with a cron expression.
	Schedules Schedules `yaml:"schedules"`
	// Rules that keep more than the schedules' own retention does. A snapshot is
	// kept when any rule keeps it.
	Retention Retention `yaml:"retention"`
	// How what no snapshot needs any more is removed from the storage.
	Prune Prune `yaml:"prune"`
	// How backups are sealed. They always are.
	Encryption Encryption `yaml:"encryption" reload:"restart"`
	// How data is made smaller before it is sealed.
	Compression Compression `yaml:"compression"`
	// Where the repository's objects are kept.
	Storage Storage `yaml:"storage" reload:"restart"`
	// Copies of the repository in other regions.
	Replication Replication `yaml:"replication"`
	// What is checked while backing up and restoring.
	Validation Validation `yaml:"validation"`
	// Metrics, and who is told when a backup fails.
	Monitoring Monitoring `yaml:"monitoring"`
}

// Encryption says how backups are sealed.
type Encryption struct {
	// Must be true: backups are always encrypted.
	Enabled bool `yaml:"enabled"`
	// The cipher. Must be AES-256-GCM.
	Algorithm string `yaml:"algorithm"`
	// The key ring file, readable by its owner only (mode 0600), made by
	// `mahavishnu key create`. It must lie outside every storage path: whoever
	// finds the backups must not find the key beside them. Without this file no
	// backup can be read: keep a recovery copy elsewhere.
	KeyPath string `yaml:"key_path"`
}

// Names of compression algorithms.
const (
	CompressionZstd = "zstd"
	CompressionGzip = "gzip"
	CompressionNone = "none"
)

// Compression says how data is made smaller. Data that does not shrink is
// detected and stored as it is, whatever the setting.
type Compression struct {
	// With false nothing is compressed, whatever the algorithm says.
	Enabled bool `yaml:"enabled"`
	// The algorithm: "zstd", "gzip" or "none". The default is zstd because at the
	// same ratio it is several times faster than gzip in both directions, so that
	// backup and restore run at the speed of the disks. Both can be read back
	// always; changing it affects new data only.
	Algorithm string `yaml:"algorithm"`
	// The effort: 1 to 9 for gzip, 1 to 22 for zstd; more is smaller and slower.
	// 0 means the algorithm's own default: 6 for gzip, 1 for zstd. Archival
	// backups always use the highest effort that pays.
	Level int `yaml:"level"`
}

// Names of checksum algorithms.
const (
	ChecksumSHA256 = "sha256"
	ChecksumBLAKE3 = "blake3"
)

// Validation says what is checked while backing up and restoring.
type Validation struct {
	// With false neither verify_on_create nor verify_on_restore takes effect.
	// Stored data is always checksummed and authenticated, whatever this says.
	Enabled bool `yaml:"enabled"`
	// How content is named and recognised: "sha256" or "blake3", both keyed with
	// the repository's secret. It is fixed when the repository is created; a
	// repository made with the other one keeps its own.
	ChecksumAlgorithm string `yaml:"checksum_algorithm"`
	// Whether each backup is followed by a verify of what it stored.
	VerifyOnCreate bool `yaml:"verify_on_create"`
	// How much stored data that verify reads besides: what has gone unverified for
	// longest, once three quarters of max_unverified_age are over. It comes round to
	// everything in time when (backups in that time) x (this) is more than is stored.
	// 0 reads nothing besides.
	VerifyPerRun Size `yaml:"verify_per_run"`
	// The promise: no stored byte goes unverified for longer. `mahavishnu status`
	// and the metrics tell how it is kept. 0 promises nothing.
	MaxUnverifiedAge Duration `yaml:"max_unverified_age"`
	// Whether each restore reads back and compares what it wrote. For a restore job it
	// is the worker's that counts, unless the job says itself.
	VerifyOnRestore bool `yaml:"verify_on_restore"`
}

// Monitoring says what is measured and who is told.
type Monitoring struct {
	// With false neither metrics nor alerts are produced.
	Enabled bool `yaml:"enabled"`
	// Whether a failed backup raises an alert. Alerts cannot be sent yet: until
	// they can, a failure shows in the exit code, the job's record, the events
	// and the metrics, and every start prints a notice.
	AlertOnFailure bool `yaml:"alert_on_failure"`
	// Where alerts go: "email", "slack", "pagerduty", "webhook".
	AlertChannels []string `yaml:"alert_channels"`
	// Whether /metrics is served on node.listen.
	MetricsEnabled bool `yaml:"metrics_enabled" reload:"restart"`
}
