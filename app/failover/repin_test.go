package failover

import (
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/config"
	"mahavishnu/messages"
)

func TestActiveRegion(t *testing.T) {
	both := map[string]config.FailoverMember{"a": {Region: "eu"}, "b": {Region: "us"}}
	p := &Planner{
		cfg: &config.Config{Regions: []string{"us", "eu", "ap"}, Failover: config.Failover{Services: map[string]config.FailoverService{
			"one": {Members: both}, "two": {Members: both}, "three": {Members: both},
		}}},
		leases: newLeaseViews(nil, messages.TimingFor(time.Hour), clock.System()),
	}
	holds := func(service, member string, ago time.Duration) {
		p.leases.views[service] = leaseSeen{LeaseValue: messages.LeaseValue{Holder: member}, changed: time.Now().Add(-ago)}
	}
	for _, step := range []struct {
		service, member string
		ago             time.Duration
		want            string
	}{
		{"", "", 0, ""},
		{"one", "b", 0, "us"},
		{"two", "a", 0, "eu"}, // as many: the first by name
		{"three", "b", 0, "us"},
		{"three", "a", 0, "eu"},
		{"two", "a", 2 * time.Hour, "eu"}, // lapsed
		{"three", "", 0, "us"},
		{"one", "stranger", 0, ""},
	} {
		if step.service != "" {
			holds(step.service, step.member, step.ago)
		}
		if got := p.activeRegion(); got != step.want {
			t.Errorf("after %+v it is %q", step, got)
		}
	}
}
