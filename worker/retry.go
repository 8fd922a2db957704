package worker

import (
	"math"
	"time"
)

// RetryPolicy says how long a failed job waits for its next attempt. How often
// it may fail is the job's own setting (messages.Envelope.MaxAttempts).
type RetryPolicy struct {
	// First is the wait after the first failure. Zero means 5 s.
	First time.Duration
	// Max is the longest wait. Zero means 15 min.
	Max time.Duration
	// Factor multiplies the wait after each further failure. Below 1 means 2.
	Factor float64
	// Jitter is the share of the wait that chance takes off, at most 1, so that
	// jobs that failed together do not come back together. Zero means 0.2;
	// negative means none.
	Jitter float64
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.First <= 0 {
		p.First = 5 * time.Second
	}
	if p.Max <= 0 {
		p.Max = 15 * time.Minute
	}
	if p.Factor < 1 {
		p.Factor = 2
	}
	switch {
	case p.Jitter == 0:
		p.Jitter = 0.2
	case p.Jitter < 0:
		p.Jitter = 0
	case p.Jitter > 1:
		p.Jitter = 1
	}
	return p
}

// Delay returns the wait after the given number of failures (1 or more).
// chance is a number in [0, 1).
func (p RetryPolicy) Delay(failures int, chance float64) time.Duration {
	p = p.withDefaults()
	wait := float64(p.First) * math.Pow(p.Factor, float64(max(failures, 1)-1))
	wait = min(wait, float64(p.Max)) // also where the power is infinite
	return time.Duration(wait * (1 - p.Jitter*chance))
}
