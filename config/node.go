package config

// Source is a directory to protect.
type Source struct {
	// The directory. It must not lie inside the repository, and when the
	// repository or the node's data lie inside it, they must be excluded.
	Path string `yaml:"path"`
	// The region whose workers can read the path; "any": all of them can. May be
	// left out when there is only one region.
	Region string `yaml:"region"`
	// Other regions whose machines see the same files under the same path, a shared
	// file system for example: while such a region takes the jobs of the source's
	// own, which was failed over, its workers go on with the backups. Elsewhere
	// such a job ends with an error.
	AlsoFrom []string `yaml:"also_from"`
	// What to leave out: patterns as in .gitignore, relative to the path. "!"
	// takes back, a leading "/" anchors, a trailing "/" means directories only,
	// "**" crosses directories.
	Exclude []string `yaml:"exclude"`
	// Whether directories that carry a CACHEDIR.TAG are left out; the tag itself
	// is kept.
	ExcludeCaches bool `yaml:"exclude_caches"`
	// Whether other file systems mounted below the path are left out.
	OneFileSystem bool `yaml:"one_file_system"`
	// Labels put on every snapshot of this source.
	Tags []string `yaml:"tags"`
	// The names of the schedules that back it up. Empty: every schedule that
	// names no sources, and those that name this one.
	Schedules []string `yaml:"schedules"`
}

// Node is this machine.
type Node struct {
	// What this machine is called in jobs, leases and logs; unique among all
	// nodes: letters, digits, dash and underscore. Empty: the host's name, with a
	// dash for what else is in it.
	Name string `yaml:"name" reload:"restart" env:"MAHAVISHNU_NODE_NAME"`
	// The region this machine is in; one of regions. May be left out when there
	// is only one region.
	Region string `yaml:"region" reload:"restart" env:"MAHAVISHNU_NODE_REGION"`
	// Where this machine keeps what it needs between starts. Losing it loses no
	// backup.
	DataDir string `yaml:"data_dir" reload:"restart"`
	// Where decrypted indexes are cached; it may be deleted at any time. Empty: "cache"
	// inside data_dir.
	CacheDir string `yaml:"cache_dir" reload:"restart"`
	// Where restore jobs and restore tests write. It needs room for the largest
	// source. Empty: "staging" inside data_dir.
	StagingDir string `yaml:"staging_dir" reload:"restart"`
	// How many jobs run at once. 0: one for every two processors, at least one.
	Slots int `yaml:"slots" reload:"restart"`
	// Where metrics and health are served, as "host:port"; port 0 picks a free
	// one. Empty: nowhere.
	Listen string `yaml:"listen" reload:"restart"`
	// How long running jobs may go on after a request to stop; then they are
	// handed back at once and another worker resumes them. 0s: handed back
	// immediately.
	Grace Duration `yaml:"grace"`
	// The least that is logged: "debug", "info", "warn" or "error".
	LogLevel string `yaml:"log_level"`
	// How it is logged: "auto" (text on a terminal, JSON elsewhere), "text" or
	// "json".
	LogFormat string `yaml:"log_format" reload:"restart"`
}

// Jobs says how jobs are retried and handed over.
type Jobs struct {
	// How often a job is tried before it is declared dead; at least 1. Being
	// interrupted or postponed costs no attempt.
	MaxAttempts int `yaml:"max_attempts"`
	// The wait before the second attempt; it doubles each time, with jitter.
	RetryFirst Duration `yaml:"retry_first"`
	// The longest wait between two attempts; at least retry_first.
	RetryMax Duration `yaml:"retry_max"`
	// How long one attempt may take when the job names no deadline itself.
	// 0s: as long as it needs.
	Deadline Duration `yaml:"deadline"`
	// How long a silent worker keeps its job. Workers report every third of it;
	// a worker that is killed costs this much. 3s to 10m.
	AckWait Duration `yaml:"ack_wait" reload:"restart"`
}
