package config

// Config is the whole configuration. See the package comment for what a loaded
// one promises.
type Config struct {
	// What is backed up when, how it is sealed and compressed, where it is
	// stored, and for how long.
	Backup Backup `yaml:"backup"`
	// How much may be lost and how long recovery may take, and the rehearsals
	// that prove it.
	DisasterRecovery DisasterRecovery `yaml:"disaster_recovery"`
	// The directories to protect, by name. The name is what commands, jobs and
	// snapshots call the source: letters, digits, dot, dash and underscore, up
	// to 64 of them.
	Sources map[string]Source `yaml:"sources"`
	// The names of all regions: letters, digits, dash and underscore. Jobs are
	// addressed to a region, or to "any", which therefore cannot be a region's
	// name. One machine or one site needs only one.
	Regions []string `yaml:"regions" reload:"restart"`
	// This machine: its name, its region, where it keeps its files, how much it
	// does at once.
	Node Node `yaml:"node"`
	// The message system that carries jobs: embedded in this process, or a
	// server or cluster elsewhere.
	NATS NATS `yaml:"nats" reload:"restart"`
	// How often a job is tried, how long it may take, and how soon a dead
	// worker's job is handed to another.
	Jobs Jobs `yaml:"jobs"`

	// Reserved for access control and approvals; not available yet.
	Security Reserved `yaml:"security"`
	// Reserved for routes to e-mail, Slack, PagerDuty and webhooks; not
	// available yet.
	Alerts Reserved `yaml:"alerts"`
	// Reserved for the web console; not available yet.
	Console Reserved `yaml:"console"`
	// Reserved for parity and erasure coding; not available yet.
	Erasure Reserved `yaml:"erasure"`
	// Reserved for PostgreSQL base backups and WAL; not available yet.
	Postgres Reserved `yaml:"postgres"`
	// Who watches services and nodes, how fast a silence is noticed, and how long a
	// primary may go on alone.
	Failover Failover `yaml:"failover" reload:"restart"`

	origin origin
}

// Reserved is a section whose room is not built yet. Giving it, even empty, is
// an error that says so.
type Reserved struct{}
