package messages

import "time"

// OpinionReport is what one coordinator thinks of everybody it watches. It is
// sent with every heartbeat and not stored. A target that is not named is alive
// as far as the coordinator knows.
//
// Moments are told as milliseconds that have passed: nobody compares clocks.
type OpinionReport struct {
	Node   string `json:"node"`
	Region string `json:"region"`
	// Sequence grows by one a report, from 1 at the coordinator's start.
	Sequence       uint64    `json:"sequence"`
	Started        time.Time `json:"started"`
	IntervalMillis int64     `json:"interval_ms"`
	// Stretch is by how much the coordinator distrusts its own suspicions, 1 to 8.
	Stretch float64 `json:"stretch"`
	// Epoch is that of the coordinator's leadership; 0 when it does not lead.
	Epoch uint64 `json:"epoch,omitempty"`
	// Hears are the voters whose reports reach this coordinator.
	Hears    []string  `json:"hears"`
	Opinions []Opinion `json:"opinions,omitempty"`
}

// Opinion is what a coordinator thinks of one target.
type Opinion struct {
	// Target is "node/NAME" or "service/NAME/MEMBER".
	Target string `json:"target"`
	// State is "up", "suspect" or "down".
	State string `json:"state"`
	// SinceMillis is for how long it has been so.
	SinceMillis int64 `json:"since_ms"`
	// Phi is the suspicion of the silent path, at most 1e6.
	Phi    float64 `json:"phi,omitempty"`
	Reason string  `json:"reason,omitempty"`
}

// DecodeOpinionReport reads a report.
func DecodeOpinionReport(data []byte) (OpinionReport, error) {
	return decode[OpinionReport]("opinion report", data)
}
