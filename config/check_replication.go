package config

import (
	"fmt"
	"slices"
	"time"
)

// intervals are those that begin anew with each hour, or each day: when they are due
// depends on the clock alone and not on when a process started.
var intervals = func() []time.Duration {
	var all []time.Duration
	for _, n := range []time.Duration{1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30} {
		all = append(all, n*time.Minute)
	}
	for _, n := range []time.Duration{1, 2, 3, 4, 6, 8, 12, 24} {
		all = append(all, n*time.Hour)
	}
	return all
}()

// Cron is the interval as a cron expression in UTC.
func (r Replication) Cron() string {
	switch minutes := int(r.Interval.Std() / time.Minute); {
	case minutes < 60:
		return fmt.Sprintf("*/%d * * * *", minutes)
	case minutes < 24*60:
		return fmt.Sprintf("0 */%d * * *", minutes/60)
	}
	return "0 0 * * *"
}

// Runner is the region whose workers copy for a pair.
func (r Replication) Runner(p RegionPair) string {
	if r.RunIn == RunInPrimary {
		return p.Primary
	}
	return p.Secondary
}

func (l *loader) checkReplication(c *Config) {
	const at = "backup.replication"
	r := c.Backup.Replication
	for i, pair := range r.Regions {
		l.checkPair(c, element(at+".regions", i), pair, r.Regions[:i])
	}
	for _, name := range sortedKeys(r.Storages) {
		l.checkRegionStorage(c, at+".storages."+name, name)
	}
	l.oneOf(at+".run_in", r.RunIn, "a choice", RunInSecondary, RunInPrimary)
	if !slices.Contains(intervals, r.Interval.Std()) {
		l.valuef(at+".interval", "%s cannot be counted on a clock: choose 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h or 1d", r.Interval)
	}
	l.between(at+".delete_after_days", r.DeleteAfterDays, 0, 3650)
	l.between(at+".shards", r.Shards, 1, 64)
	l.between(at+".verify_share", r.VerifyShare, 0, 100)
	if r.Enabled && len(r.Regions) == 0 {
		l.value(at+".regions", "is empty: name which region is copied to which, or write enabled: false")
	}
	l.checkOwnPlace(c)
	l.checkCopyImmutable(c)
	if r.Enabled && len(l.errs) == 0 {
		l.checkReplicaPlaces(c)
	}
}

func (l *loader) checkPair(c *Config, key string, pair RegionPair, before []RegionPair) {
	r := c.Backup.Replication
	switch {
	case pair.Primary == "":
		l.value(key+".primary", "is missing: name the region to copy from")
	case pair.Secondary == "":
		l.value(key+".secondary", "is missing: name the region to copy to")
	case pair.Primary == pair.Secondary:
		l.valuef(key+".secondary", "%s cannot be copied to itself: name another region", pair.Primary)
	case slices.Contains(before, pair):
		l.valuef(key, "%s is copied to %s twice: keep one", pair.Primary, pair.Secondary)
	}
	if !r.Enabled {
		return
	}
	for name, region := range map[string]string{".primary": pair.Primary, ".secondary": pair.Secondary} {
		if region != "" && !slices.Contains(c.Regions, region) {
			l.about(key+name, noSuch("region", region, "regions", c.Regions), nearest(region, c.Regions))
		}
	}
	// Whoever copies must reach the other region's storage; its own is where
	// backup.storage says.
	far, name := pair.Primary, ".primary"
	if r.RunIn == RunInPrimary {
		far, name = pair.Secondary, ".secondary"
	}
	if _, ok := r.Storages[far]; !ok && slices.Contains(c.Regions, far) {
		l.valuef(key+name, "no storage of region %s is known: say where it keeps its repository, under backup.replication.storages.%s", far, far)
	}
}

func (l *loader) checkRegionStorage(c *Config, key, region string) {
	s := c.Backup.Replication.Storages[region]
	if !slices.Contains(c.Regions, region) {
		l.about(key, noSuch("region", region, "regions", c.Regions), nearest(region, c.Regions))
	}
	k := s.kinds(key)
	if k.empty() {
		l.value(key, "is no storage: write enabled: true under one of local, s3, azure_blob, gcs and disperse, or give a url")
	}
	l.checkKinds(k)
	l.checkKinds(s.Replicas.kinds(key + ".replicas"))
}

// checkOwnPlace refuses a region that is told twice, and differently, where its
// repository is.
func (l *loader) checkOwnPlace(c *Config) {
	if !c.listed() {
		return
	}
	listed := c.Backup.Replication.Storages[c.Node.Region]
	k := c.Backup.Storage.kinds("backup.storage")
	names := k.names()
	if len(names) == 0 {
		return
	}
	key := "backup.storage." + names[0]
	if names[0] == "local" {
		key += ".path"
		if !l.given(key) {
			key = "backup.directory"
		}
	}
	if own, other := k.place(), listed.kinds("").place(); !own.same(other) {
		l.valuef(key, "clashes with backup.replication.storages.%s: region %[1]s would keep its repository in %s by the one and in %s by the other; keep one of the two",
			c.Node.Region, own, other)
	}
}

// checkReplicaPlaces refuses copies that would overwrite a repository or each
// other. It looks at places that are good by themselves.
func (l *loader) checkReplicaPlaces(c *Config) {
	r := c.Backup.Replication
	type taken struct {
		place Place
		what  string
	}
	var all []taken
	for _, region := range c.Regions {
		if p, ok := c.RegionPlace(region); ok {
			all = append(all, taken{p, "region " + region + " keeps its own repository"})
		}
	}
	for i, t := range all {
		for _, other := range all[:i] {
			if t.place.same(other.place) {
				l.valuef(t.place.Key, "%s is where %s too: each region needs a place of its own", t.place, other.what)
			}
		}
	}
	for i, pair := range r.Regions {
		p, ok := c.ReplicaPlace(pair.Primary, pair.Secondary)
		if !ok {
			continue
		}
		for _, other := range all {
			if p.same(other.place) {
				l.valuef(element("backup.replication.regions", i), "the copy of region %s would be put into %s, where %s: set backup.replication.storages.%s.replicas to another place",
					pair.Primary, p, other.what, pair.Secondary)
				break
			}
		}
		all = append(all, taken{p, "the copy of region " + pair.Primary + " for region " + pair.Secondary + " lies"})
	}
}
