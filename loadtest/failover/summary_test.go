package failover

import (
	"testing"
	"time"
)

// Of a hundred, the 99th percentile is the last but one, and not the slowest.
func TestPercentile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)) // 1 to 100
	}
	for _, c := range []struct {
		of   []time.Duration
		p    float64
		want time.Duration
	}{
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{hundred[:50], 0.99, 100},
		{hundred[99:], 0.5, 1},
		{nil, 0.99, 0},
	} {
		if got := percentile(c.of, c.p); got != c.want {
			t.Errorf("percentile %v of %d: %d, want %d", c.p, len(c.of), got, c.want)
		}
	}
}
