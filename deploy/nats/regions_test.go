package deploynats

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"mahavishnu/messages/bus"
)

// TestServersTellTheirRegions has servers whose names tell nothing: a coordinator knows
// where each is by its tag, and keeps leaders out of a region by that.
func TestServersTellTheirRegions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	want := map[string]string{"alpha": "us-east-1", "beta": "eu-west-1", "gamma": "ap-south-1"}
	regions := []string{"us-east-1", "eu-west-1", "ap-south-1"}
	s.three("three-regions.conf", "alpha@us-east-1", "beta@eu-west-1", "gamma@ap-south-1")
	s.provision(3, regions...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	coordinator := s.connect("coordinator", func(o *bus.Options) { o.Patience = time.Minute })
	got, err := coordinator.ServerRegions(ctx)
	if err != nil || !maps.Equal(got, want) {
		t.Fatalf("the servers say %v, %v; want %v", got, err, want)
	}
	for _, away := range regions {
		pinned, err := bus.Repin(ctx, coordinator, bus.RepinOptions{Away: away, Regions: regions})
		if err != nil || len(pinned) != 3 {
			t.Fatalf("away from %s: %+v, %v", away, pinned, err)
		}
		for _, p := range pinned {
			if p.Region == away || p.Region != want[p.Leader] {
				t.Errorf("away from %s: %+v", away, p)
			}
		}
	}
	// Neither a tag nor a name says where they are: that is told, not guessed.
	_, err = bus.Repin(ctx, coordinator, bus.RepinOptions{Away: "moon", Regions: []string{"moon", "mars"}})
	if !errors.Is(err, bus.ErrNoRegion) {
		t.Errorf("servers in no region: %v", err)
	}
	// Who may not ask knows no tags, and is left with the names.
	if got, err := s.connect("worker").ServerRegions(ctx); err != nil || len(got) != 0 {
		t.Errorf("a worker is told %v, %v", got, err)
	}
}
