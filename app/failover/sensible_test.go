package failover

import (
	"testing"

	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
)

// Plans are looked at with the regions that they could be carried out with.
func TestRegionsThatPlansMakeSenseWith(t *testing.T) {
	cfg := &config.Config{Regions: []string{"eu", "us", "ap"}}
	cfg.Backup.Replication.Regions = []config.RegionPair{{Primary: "eu", Secondary: "us"}}
	cfg.Failover.Services = map[string]config.FailoverService{
		"orders": {Members: map[string]config.FailoverMember{"a": {Region: "eu"}, "b": {Region: "ap"}}},
	}
	p := &Planner{cfg: cfg}
	all, err := plan.All(plan.Standard(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		plan, from, to string
		want           bool
	}{
		{"region_failure", "eu", "us", true},
		{"region_failure", "us", "eu", false}, // eu keeps no copy of us
		{"region_failure", "eu", "ap", false}, // a service alone moves no region
		{"failback_region", "eu", "us", true},
		{"failback_region", "eu", "ap", false},
		{"network_partition", "eu", "ap", true},
		{"network_partition", "ap", "eu", true},
		{"network_partition", "us", "ap", false},
	} {
		if got := p.sensible(all[c.plan], map[string]string{"from": c.from, "to": c.to}); got != c.want {
			t.Errorf("%s from %s to %s: %v, want %v", c.plan, c.from, c.to, got, c.want)
		}
	}
}
