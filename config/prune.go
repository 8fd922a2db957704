package config

// Prune says how what no snapshot needs any more is removed from the storage.
// Nobody is locked out meanwhile: backups go on.
type Prune struct {
	// Whether pruning follows when the schedules' backups have been made and
	// old snapshots have been forgotten. With false the storage only grows, until
	// somebody runs `mahavishnu prune`.
	Enabled bool `yaml:"enabled"`
	// How often at most: the first forgetting in each span of this length, counted
	// from midnight UTC, is followed by a prune. At least 1h.
	Every Duration `yaml:"every"`
	// How many percent of what is stored may be left unused, because a pack that
	// holds it holds something that is needed too. Less saves space, and rewrites
	// more; 0 rewrites every such pack.
	MaxUnused int `yaml:"max_unused"`
	// How much may be rewritten in one run; what is left is for the next. 0B:
	// as much as there is.
	MaxRepack Size `yaml:"max_repack"`
	// How long a run waits for backups that began before it and might still rely
	// on what is to go. Whatever had to wait longer is removed by the next run.
	Wait Duration `yaml:"wait"`
}

func (l *loader) checkPrune(p Prune) {
	const at = "backup.prune."
	l.between(at+"max_unused", p.MaxUnused, 0, 100)
	if p.Every.Std() < day/24 || p.Every.Std() > 366*day {
		l.valuef(at+"every", "must be from 1h to 366d, not %s", p.Every)
	}
	if p.Wait.Std() > day {
		l.valuef(at+"wait", "%s would keep a worker waiting for more than a day; what has to wait is removed by the next run", p.Wait)
	}
}
