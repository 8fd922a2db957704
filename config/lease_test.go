package config

import (
	"strings"
	"testing"
)

// TestRenewalsMayGetLost: a lease that is renewed once in its deadline is never
// taken, as the first renewal that gets lost would end it.
func TestRenewalsMayGetLost(t *testing.T) {
	t.Parallel()
	for _, room := range []string{"nats", "failover"} {
		for _, c := range []struct {
			interval string
			good     bool
		}{
			{"5s", true}, {"5001ms", false}, {"6s", false}, {"10s", false}, {"20s", false},
		} {
			_, err := Parse("test.yaml", []byte(room+": {lease: {duration: 15s, renew_interval: "+c.interval+
				", renew_deadline: 10s, stop_time: 1s, margin: 1s}}\n"))
			want := room + ".lease.renew_interval"
			switch {
			case c.good && err != nil:
				t.Errorf("%s every %s: %v", want, c.interval, err)
			case !c.good && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "more than half of renew_deadline")):
				t.Errorf("%s every %s: %v", want, c.interval, err)
			}
		}
	}
}
