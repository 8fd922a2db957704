package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mahavishnu/fault"
)

// String names a pair: "us-east-1@eu-west-1" is the copy of us-east-1 that
// eu-west-1 keeps.
func (p RegionPair) String() string { return p.Primary + "@" + p.Secondary }

// Replica finds the copy that a person names: by the region that keeps it, or as
// PRIMARY@REGION where that keeps copies of several. Of several the one of this
// node's region is meant.
func (c *Config) Replica(ref string) (RegionPair, Place, error) {
	const op = "find the copy"
	primary, secondary, both := strings.Cut(ref, "@")
	if !both {
		primary, secondary = "", ref
	}
	var fits []RegionPair
	for _, pair := range c.Backup.Replication.Regions {
		if pair.Secondary == secondary && (!both || pair.Primary == primary) {
			fits = append(fits, pair)
		}
	}
	if len(fits) > 1 {
		own := slices.IndexFunc(fits, func(p RegionPair) bool { return p.Primary == c.Node.Region })
		if own < 0 {
			return RegionPair{}, Place{}, fault.New(op, ref, errors.New("the region keeps several"), "name one of "+pairNames(fits))
		}
		fits = fits[own : own+1]
	}
	if len(fits) == 0 {
		hint := "name pairs of regions under backup.replication.regions"
		if all := c.Backup.Replication.Regions; len(all) > 0 {
			hint = "there are " + pairNames(all)
		}
		return RegionPair{}, Place{}, fault.New(op, ref, errors.New("the configuration has no such copy"), hint)
	}
	pair := fits[0]
	place, ok := c.ReplicaPlace(pair.Primary, pair.Secondary)
	if !ok {
		return pair, Place{}, fault.New(op, pair.String(), fmt.Errorf("it is not known where region %s keeps it", pair.Secondary),
			"say so under backup.replication.storages."+pair.Secondary)
	}
	return pair, place, nil
}

func pairNames(pairs []RegionPair) string {
	names := make([]string, len(pairs))
	for i, p := range pairs {
		names[i] = p.String()
	}
	return strings.Join(names, ", ")
}
