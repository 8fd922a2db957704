package config

import "slices"

// StorageLimits say how much of the network and of the storage this machine uses. 0
// sets no limit.
type StorageLimits struct {
	// Bytes a second that are written at most.
	Upload Size `yaml:"upload"`
	// Bytes a second that are read at most.
	Download Size `yaml:"download"`
	// Requests a second at most.
	Requests int `yaml:"requests"`
	// How many requests are under way at once at most. 0: as many as the work has
	// use for.
	Concurrency int `yaml:"concurrency"`
	// The time zone of the windows, as the IANA database names it.
	Timezone string `yaml:"timezone"`
	// Other limits at certain times of day, such as office hours. The first window
	// that the time lies in applies, in place of the limits above.
	Windows []LimitWindow `yaml:"windows"`
}

// LimitWindow is a time of day with limits of its own; 0 sets none then.
type LimitWindow struct {
	// The days of the week on which it begins, by their English names. Empty: every
	// day.
	Days []Weekday `yaml:"days"`
	// When it begins, as "HH:MM".
	From TimeOfDay `yaml:"from"`
	// When it ends, as "HH:MM"; earlier than from: on the next day.
	To TimeOfDay `yaml:"to"`
	// Bytes a second that are written at most.
	Upload Size `yaml:"upload"`
	// Bytes a second that are read at most.
	Download Size `yaml:"download"`
	// Requests a second at most.
	Requests int `yaml:"requests"`
}

// StorageRetries say how often a request is repeated that failed for a passing
// reason: a lost connection, a server that is busy.
type StorageRetries struct {
	// How often one request is tried; at least 1.
	Attempts int `yaml:"attempts"`
	// The wait before the second try; it doubles each time, with jitter. What the
	// server asks for is waited at least.
	First Duration `yaml:"first"`
	// The longest wait between two tries.
	Max Duration `yaml:"max"`
	// How long one request is tried at most, however often.
	GiveUp Duration `yaml:"give_up"`
}

func (l *loader) checkLimits(s StorageLimits) {
	const at = "backup.storage.limits."
	l.zone(at+"timezone", s.Timezone)
	l.between(at+"requests", s.Requests, 0, 1_000_000)
	l.between(at+"concurrency", s.Concurrency, 0, 1024)
	for i, w := range s.Windows {
		key := element(at+"windows", i)
		l.between(key+".requests", w.Requests, 0, 1_000_000)
		for j, day := range w.Days {
			if slices.Contains(w.Days[:j], day) {
				l.valuef(element(key+".days", j), "%s is listed twice", day)
			}
		}
		if w.From == w.To {
			l.valuef(key, "begins and ends at %s: write when it ends, or remove it to have one limit all day", w.From)
		}
	}
}

func (l *loader) checkRetries(r StorageRetries) {
	const at = "backup.storage.retries."
	l.between(at+"attempts", r.Attempts, 1, 1000)
	if r.First <= 0 {
		l.value(at+"first", "must be more than nothing: a busy server would be asked without a pause")
	}
	if r.Max < r.First {
		l.valuef(at+"max", "%s is less than first, %s", r.Max, r.First)
	}
	if r.GiveUp < r.Max {
		l.valuef(at+"give_up", "%s is less than max, %s", r.GiveUp, r.Max)
	}
}
