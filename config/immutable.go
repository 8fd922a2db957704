package config

import (
	"fmt"
	"net/url"
	"slices"
)

// Inherit is the number of days of a copy that says nothing of its own.
const Inherit = -1

// locks are the parameters of a storage's URL that ask for retention, and the settings
// they come from.
var locks = map[string]struct{ parameter, setting string }{
	"s3": {"lock", "object_lock"}, "azblob": {"immutability", "immutability"}, "gs": {"retention", "retention"},
}

// Locks tells whether what is stored in a place can be kept from being deleted, as far as
// its settings say.
func (p Place) Locks() bool {
	if p.Spread != nil {
		return !slices.ContainsFunc(p.Spread.Members, func(m Place) bool { return !m.Locks() })
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return false
	}
	lock, remote := locks[u.Scheme]
	return !remote || u.Query().Get(lock.parameter) != ""
}

// lockSetting is the setting by which a place asks for retention, "" when none does. A
// directory needs none.
func (p Place) lockSetting() string {
	if p.Spread != nil {
		for _, m := range p.Spread.Members {
			if setting := m.lockSetting(); setting != "" {
				return setting
			}
		}
		return ""
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Query().Get(locks[u.Scheme].parameter) == "" {
		return ""
	}
	return locks[u.Scheme].setting
}

// CopyImmutableDays is for how many days the copy of a pair is kept from being deleted;
// 0 is not at all. Without a number of its own it is that of the repository, where the
// copy's storage can.
func (c *Config) CopyImmutableDays(pair RegionPair) int {
	days := Inherit
	if s, ok := c.Backup.Replication.Storages[pair.Secondary]; ok {
		days = s.Replicas.ImmutableDays
	}
	if days != Inherit {
		return days
	}
	if place, ok := c.ReplicaPlace(pair.Primary, pair.Secondary); !ok || !place.Locks() {
		return 0
	}
	return c.Backup.Storage.ImmutableDays
}

// CopyUnlocked says why the copy of a pair is not kept from being deleted although the
// repository is, and nobody said that it should not be; else it is "".
func (c *Config) CopyUnlocked(pair RegionPair) string {
	if s, ok := c.Backup.Replication.Storages[pair.Secondary]; ok && s.Replicas.ImmutableDays != Inherit {
		return ""
	}
	place, ok := c.ReplicaPlace(pair.Primary, pair.Secondary)
	if !ok || place.Locks() || c.Backup.Storage.ImmutableDays <= 0 {
		return ""
	}
	return fmt.Sprintf("the repository is kept for %d days (backup.storage.immutable_days), and the copy's storage has none of object_lock, immutability and retention",
		c.Backup.Storage.ImmutableDays)
}

// checkCopyImmutable refuses a number of days that a copy's storage cannot keep, or that
// runs do not extend in time.
func (l *loader) checkCopyImmutable(c *Config) {
	r := c.Backup.Replication
	for _, region := range sortedKeys(r.Storages) {
		key := "backup.replication.storages." + region + ".replicas.immutable_days"
		l.between(key, r.Storages[region].Replicas.ImmutableDays, Inherit, 3650)
	}
	for i, pair := range r.Regions {
		place, known := c.ReplicaPlace(pair.Primary, pair.Secondary)
		days := c.CopyImmutableDays(pair)
		if !r.Enabled || !known || days <= 0 || days > 3650 {
			continue
		}
		own := r.Storages[pair.Secondary].Replicas.ImmutableDays
		switch key := "backup.replication.storages." + pair.Secondary + ".replicas.immutable_days"; {
		case own > 0 && !place.Locks():
			l.valuef(key, "%s does not say that it keeps anything: S3 needs object_lock, Azure immutability, Google retention", place)
		case Duration(days)*Duration(day)/2 <= r.Interval:
			l.valuef(element("backup.replication.regions", i), "its copy is kept for %d days at a time, which runs extend every %s (backup.replication.interval): half of it must be longer, or what is needed would be without protection for a while",
				days, r.Interval)
		}
	}
}

// lockNotices names storage that is set up to keep objects and is never asked to, and
// copies that are not kept though the repository is.
func (c *Config) lockNotices() []Notice {
	var all []Notice
	idle := func(p Place, days int, number string) {
		setting := p.lockSetting()
		if setting == "" || days > 0 {
			return
		}
		n := Notice{p.Key, fmt.Sprintf("It has %s, and %s is 0, so nothing is kept from being deleted; write for how many days, or take %[1]s out.", setting, number)}
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	days := c.Backup.Storage.ImmutableDays
	const own = "backup.storage.immutable_days"
	idle(c.Own(), days, own)
	for _, region := range c.Regions {
		if p, ok := c.RegionPlace(region); ok {
			idle(p, days, own)
		}
	}
	if !c.Backup.Replication.Enabled {
		return all
	}
	for _, pair := range c.Backup.Replication.Regions {
		p, ok := c.ReplicaPlace(pair.Primary, pair.Secondary)
		if !ok {
			continue
		}
		number := own
		if s, ok := c.Backup.Replication.Storages[pair.Secondary]; ok && s.Replicas.ImmutableDays != Inherit {
			number = "backup.replication.storages." + pair.Secondary + ".replicas.immutable_days"
		}
		idle(p, c.CopyImmutableDays(pair), number)
		if c.CopyUnlocked(pair) != "" {
			all = append(all, Notice{"backup.replication.regions", fmt.Sprintf("The repository is kept from being deleted for %d days (%s), its copy %s is not: that storage has none of object_lock, immutability and retention.",
				days, own, pair)})
		}
	}
	return all
}
