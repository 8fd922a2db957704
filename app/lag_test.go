package app

import (
	"testing"
	"time"

	"mahavishnu/replication"
)

func TestTheAgeOfWhatIsNotCopied(t *testing.T) {
	t.Parallel()
	noon := time.Date(2025, 6, 2, 12, 0, 0, 0, time.UTC)
	waiting := replication.Lag{Snapshots: 1, Oldest: noon.Add(-time.Hour)}
	for name, c := range map[string]struct {
		b    behind
		want time.Duration
	}{
		"complete":                       {behind{at: noon.Add(-time.Minute)}, 0},
		"one waits":                      {behind{lag: waiting, at: noon.Add(-time.Minute)}, time.Hour},
		"one waits, and nobody can look": {behind{lag: waiting, at: noon.Add(-time.Minute), unknown: true}, time.Hour},
		"complete when last seen":        {behind{at: noon.Add(-20 * time.Minute), unknown: true}, 20 * time.Minute},
	} {
		if got := c.b.age(noon); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
