package messages

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// RegionKeys matches the keys of all regions' records in [BucketLeases].
const RegionKeys = "region.*"

// RegionKey is the key of a region's record in [BucketLeases].
func RegionKey(region string) string { return "region." + region }

// RegionRecord is what plans changed about a region, and have to take back. A region
// without a record, or with an empty one, looks after itself.
//
// It is written by leading coordinators only, by compare-and-set. Schedulers and workers
// follow it.
type RegionRecord struct {
	Region string `json:"region"`
	// Epoch is the highest of a leader that looked after the region: one with a lower
	// epoch is refused.
	Epoch uint64 `json:"epoch"`
	// Paused is set while no jobs are made for the region.
	Paused *RegionChange `json:"paused,omitempty"`
	// Workers is set while workers of the region that it names take the region's jobs.
	Workers *RegionChange `json:"workers,omitempty"`
	// Repository is set while the copy that the region that it names keeps is the primary
	// of the region's repository.
	Repository *RegionChange `json:"repository,omitempty"`
	// Services are those that were moved out of the region, each with the member in it
	// that was the primary.
	Services map[string]string `json:"services,omitempty"`
}

// RegionChange is one thing that a plan changed about a region.
type RegionChange struct {
	// To is the region that took over; "" for a pause.
	To string `json:"to,omitempty"`
	// Execution is which execution of a plan did it, under which epoch, and By is the
	// coordinator that led.
	Execution string    `json:"execution"`
	Epoch     uint64    `json:"epoch"`
	By        string    `json:"by"`
	At        time.Time `json:"at"`
}

// DecodeRegion reads a region's record.
func DecodeRegion(data []byte) (RegionRecord, error) {
	r, err := decode[RegionRecord]("region", data)
	if err == nil && !ValidName(r.Region) {
		return RegionRecord{}, fmt.Errorf("region: %q is not a region's name", r.Region)
	}
	return r, err
}

// Encode writes it.
func (r RegionRecord) Encode() ([]byte, error) { return json.Marshal(r) }

// Away tells why the region's own workers take none of its jobs; "" when they do.
func (r RegionRecord) Away() string {
	switch {
	case r.Workers != nil:
		return "workers of " + r.Workers.To + " take the jobs of " + r.Region
	case r.Repository != nil:
		return "the repository of " + r.Region + " is in " + r.Repository.To
	}
	return ""
}

// Changed tells whether a plan has changed something about the region that was not taken
// back.
func (r RegionRecord) Changed() bool {
	return r.Paused != nil || r.Workers != nil || r.Repository != nil || len(r.Services) > 0
}

// String says what plans changed about the region.
func (r RegionRecord) String() string {
	var all []string
	if r.Paused != nil {
		all = append(all, fmt.Sprintf("no jobs are made for it (%s)", r.Paused.Execution))
	}
	if r.Workers != nil {
		all = append(all, fmt.Sprintf("workers of %s take its jobs (%s)", r.Workers.To, r.Workers.Execution))
	}
	if r.Repository != nil {
		all = append(all, fmt.Sprintf("its repository is in %s (%s)", r.Repository.To, r.Repository.Execution))
	}
	for _, service := range slices.Sorted(maps.Keys(r.Services)) {
		all = append(all, fmt.Sprintf("%s has left %s", service, r.Services[service]))
	}
	if len(all) == 0 {
		return r.Region + " looks after itself"
	}
	return r.Region + ": " + strings.Join(all, ", ")
}

// Regions are the records of regions by name.
type Regions map[string]RegionRecord

// TakenBy lists, sorted, the regions whose jobs workers of this region take: its own,
// unless it is away, and those that were moved to it.
func (all Regions) TakenBy(region string) []string {
	var taken []string
	if all[region].Away() == "" {
		taken = append(taken, region)
	}
	for name, r := range all {
		if name != region && r.Workers != nil && r.Workers.To == region {
			taken = append(taken, name)
		}
	}
	slices.Sort(taken)
	return taken
}

// With returns the records with one added or replaced.
func (all Regions) With(r RegionRecord) Regions {
	next := maps.Clone(all)
	if next == nil {
		next = Regions{}
	}
	next[r.Region] = r
	return next
}
