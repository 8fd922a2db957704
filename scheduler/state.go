package scheduler

import (
	"encoding/json"
	"fmt"
	"time"
)

// Keys of the store. All begin with storePrefix.
const (
	storePrefix  = "schedules."
	targetPrefix = storePrefix + "target."
	seenKey      = storePrefix + "seen"
)

// targetState is what a scheduler remembers about a schedule and one of its
// sources. Losing it loses no backup: slots then count from the present.
type targetState struct {
	Schedule string `json:"schedule"`
	Source   string `json:"source"`
	// Definition is what the slots were computed from.
	Definition string `json:"definition"`
	// Decided is the last slot that became a job or was counted as missed or
	// skipped, or the time since which slots count.
	Decided time.Time `json:"decided"`
	// Job is the last job submitted, and Slot its slot.
	Job  string    `json:"job,omitempty"`
	Slot time.Time `json:"slot,omitzero"`
	// Waiting is a slot that waits for Job to finish.
	Waiting time.Time `json:"waiting,omitzero"`
	// Held is a slot that came due while no jobs were made for its region.
	Held time.Time `json:"held,omitzero"`
	// Epoch and By tell who wrote this, for people.
	Epoch uint64 `json:"epoch"`
	By    string `json:"by"`
}

// seenState is the last time up to which a leader decided everything. It moves
// at least once a minute while one leads.
type seenState struct {
	Seen  time.Time `json:"seen"`
	Epoch uint64    `json:"epoch"`
	By    string    `json:"by"`
}

func targetKey(schedule, source string) string {
	return targetPrefix + idToken(schedule) + "." + idToken(source)
}

func decodeState[T any](key string, data []byte) (T, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("decode scheduler state %s: %w", key, err)
	}
	return v, nil
}
