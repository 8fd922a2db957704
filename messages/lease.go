package messages

import (
	"encoding/json"
	"fmt"
	"time"
)

// LeaseValue is what a lease's key holds in dr_leases.
type LeaseValue struct {
	// Holder is the node that holds the lease; empty when it was released.
	Holder string `json:"holder"`
	// Epoch is the revision of the write that won the lease, the fencing token
	// of the whole tenure; 0 in that very write, which cannot know it yet.
	Epoch uint64 `json:"epoch"`
	// DeadlineMillis is when the holder means to stop unless it renews, in Unix
	// milliseconds of its own clock. It is for people: nobody decides on it.
	DeadlineMillis int64 `json:"deadline_ms"`
	// Nonce is random per tenure, so that a holder recognises its own write
	// whose acknowledgement was lost.
	Nonce string `json:"nonce"`
}

// DecodeLease reads a lease's value.
func DecodeLease(data []byte) (LeaseValue, error) { return decode[LeaseValue]("lease", data) }

// Encode writes a lease's value.
func (v LeaseValue) Encode() ([]byte, error) { return json.Marshal(v) }

// LeaseTiming are the durations that keep two holders apart. All are measured
// on monotonic clocks; nobody compares wall clocks.
type LeaseTiming struct {
	// RenewEvery is how often the holder renews.
	RenewEvery time.Duration
	// RenewDeadline is how long after sending its last acknowledged renewal the
	// holder stops itself.
	RenewDeadline time.Duration
	// StopTime is how long stopping takes at most.
	StopTime time.Duration
	// Margin covers clocks that run at different rates and late schedulers.
	Margin time.Duration
	// Lease is how long after an acknowledged renewal was sent nobody else may act.
	Lease time.Duration
	// Promotion is how long a candidate sees no change before it takes over.
	Promotion time.Duration
}

// TimingFor returns timings for a lease of d that satisfy Check.
func TimingFor(d time.Duration) LeaseTiming {
	return LeaseTiming{
		RenewEvery:    d / 5,
		RenewDeadline: d * 3 / 5,
		StopTime:      d / 5,
		Margin:        d / 10,
		Lease:         d,
		Promotion:     d + d/10,
	}
}

// Check returns an error unless
// renew deadline + stop time + margin < lease < earliest promotion
// and the holder can miss at least one renewal.
func (t LeaseTiming) Check() error {
	switch {
	case t.RenewEvery <= 0 || t.StopTime < 0 || t.Margin <= 0:
		return fmt.Errorf("lease timing: renew interval %v and margin %v must be above zero, stop time %v not below", t.RenewEvery, t.Margin, t.StopTime)
	case 2*t.RenewEvery > t.RenewDeadline:
		return fmt.Errorf("lease timing: renewing every %v with a deadline of %v allows no missed renewal; make the deadline at least twice the interval", t.RenewEvery, t.RenewDeadline)
	case t.RenewDeadline+t.StopTime+t.Margin >= t.Lease:
		return fmt.Errorf("lease timing: renew deadline %v + stop time %v + margin %v must be less than the lease %v", t.RenewDeadline, t.StopTime, t.Margin, t.Lease)
	case t.Lease >= t.Promotion:
		return fmt.Errorf("lease timing: the lease %v must be less than the earliest promotion %v", t.Lease, t.Promotion)
	}
	return nil
}
