package messages

import (
	"encoding/json"
	"fmt"
	"time"
)

// Outcome is what an event tells about a job.
type Outcome string

// The outcomes. Accepted, started and refused are told once a job or attempt;
// the others end an attempt.
const (
	OutcomeAccepted    Outcome = "accepted"
	OutcomeStarted     Outcome = "started"
	OutcomeSucceeded   Outcome = "succeeded"
	OutcomeRetrying    Outcome = "retrying"
	OutcomeSnoozed     Outcome = "snoozed"
	OutcomeInterrupted Outcome = "interrupted"
	OutcomeFailed      Outcome = "failed"
	OutcomeDead        Outcome = "dead"
	OutcomeCancelled   Outcome = "cancelled"
	OutcomeRefused     Outcome = "refused"
	OutcomeRedriven    Outcome = "redriven"
	// OutcomeMissed and OutcomeSkipped tell of schedule slots without a job.
	OutcomeMissed  Outcome = "missed"
	OutcomeSkipped Outcome = "skipped"
)

// What coordinators tell: an event of this kind has the target in Source, the
// coordinator in Worker and the explanation in Error. It is about no job.
const (
	EventVerdict Kind = "verdict"
	// EventPlan is about a failover plan, which Source names.
	EventPlan      Kind    = "plan"
	OutcomeUp      Outcome = "up"
	OutcomeDown    Outcome = "down"
	OutcomeUnknown Outcome = "unknown"
	// OutcomeTwin tells that two processes have a node's name.
	OutcomeTwin Outcome = "twin"
	// OutcomeNotice: a plan has something to tell people, which Error holds.
	OutcomeNotice Outcome = "notice"
)

// Event is one entry of DR_EVENTS, the record everything else listens to.
type Event struct {
	// ID is unique: a second publication with the same id is dropped by the
	// stream within its duplicate window, and by readers that remember it.
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Job     string    `json:"job,omitempty"`
	Kind    Kind      `json:"kind"`
	Region  string    `json:"region"`
	Outcome Outcome   `json:"outcome"`
	Attempt uint64    `json:"attempt,omitempty"`
	Worker  string    `json:"worker,omitempty"`
	Source  string    `json:"source,omitempty"`
	// Error is a sentence for people.
	Error string `json:"error,omitempty"`
	// Result is the handler's, as in the record.
	Result json.RawMessage   `json:"result,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// NewEvent tells what became of a job, from its record. Its id depends only on
// job, attempt and outcome, so that saying it twice is saying it once.
func NewEvent(r Record, o Outcome, now time.Time) Event {
	return Event{
		ID:   fmt.Sprintf("%s.%d.%s", r.Job.ID, r.Attempt, o),
		Time: now.UTC(), Job: r.Job.ID, Kind: r.Job.Kind, Region: r.Job.Region, Outcome: o,
		Attempt: r.Attempt, Worker: r.Worker, Source: r.Job.Source(),
		Error: r.Error, Result: r.Result, Labels: r.Job.Labels,
	}
}

// Subject is where the event is published.
func (e Event) Subject() string { return EventSubject(e.Kind, e.Outcome, e.Region) }

// DecodeEvent reads an event.
func DecodeEvent(data []byte) (Event, error) { return decode[Event]("event", data) }

// Progress is how far an attempt is.
type Progress struct {
	At     time.Time `json:"at"`
	Files  int64     `json:"files"`
	Dirs   int64     `json:"dirs,omitempty"`
	Bytes  int64     `json:"bytes"`
	Stored int64     `json:"stored,omitempty"`
	// TotalFiles and TotalBytes are estimates; 0 is unknown.
	TotalFiles int64 `json:"total_files,omitempty"`
	TotalBytes int64 `json:"total_bytes,omitempty"`
	// Rate is bytes a second over the last few seconds.
	Rate float64 `json:"rate,omitempty"`
	// ETAMillis is the time left in milliseconds; 0 is unknown.
	ETAMillis int64 `json:"eta_ms,omitempty"`
	// Current is what is being worked on, for people.
	Current string `json:"current,omitempty"`
	// Problems counts what could not be read so far.
	Problems int64 `json:"problems,omitempty"`
}

// ProgressReport is a Progress on its way, not stored.
type ProgressReport struct {
	Job     string `json:"job"`
	Kind    Kind   `json:"kind"`
	Attempt uint64 `json:"attempt"`
	Worker  string `json:"worker"`
	Progress
}

// DecodeProgress reads a progress report.
func DecodeProgress(data []byte) (ProgressReport, error) {
	return decode[ProgressReport]("progress report", data)
}

// Heartbeat says that a node is alive. It is not stored.
type Heartbeat struct {
	Node   string `json:"node"`
	Region string `json:"region"`
	// Instance is random for each process, so that two that were given one name are
	// told apart.
	Instance string `json:"instance,omitempty"`
	// Roles are scheduler, worker and coordinator.
	Roles []string `json:"roles,omitempty"`
	// Sequence grows by one a heartbeat, from 1 at the node's start.
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Started  time.Time `json:"started"`
	// IntervalMillis is how often the node means to say this.
	IntervalMillis int64  `json:"interval_ms"`
	Version        string `json:"version,omitempty"`
	// Slots and Busy are a worker's job slots; Kinds is what it takes.
	Slots int    `json:"slots,omitempty"`
	Busy  int    `json:"busy,omitempty"`
	Kinds []Kind `json:"kinds,omitempty"`
	// Jobs are the ids a worker runs.
	Jobs []string `json:"jobs,omitempty"`
	// Serves are the regions whose jobs a worker takes, or still runs.
	Serves []string `json:"serves,omitempty"`
	// Leaving is set in a node's last heartbeat: it stops because it was told to.
	Leaving bool `json:"leaving,omitempty"`
	// Island is set while the node's region is cut off and it works with the region's
	// own queue.
	Island bool `json:"island,omitempty"`
	// IslandSince is when the common queue acknowledged something last, as the node
	// knows; zero while it is not alone.
	IslandSince time.Time `json:"island_since,omitzero"`
	// Members are the members of services that live on the node, as their keepers
	// see them.
	Members []MemberState `json:"members,omitempty"`
}

// DecodeHeartbeat reads a heartbeat.
func DecodeHeartbeat(data []byte) (Heartbeat, error) { return decode[Heartbeat]("heartbeat", data) }

// Verb is what a control request asks for.
type Verb string

// The control verbs: cancel goes to a job, status to a coordinator.
const (
	VerbCancel Verb = "cancel"
	VerbStatus Verb = "status"
)

// ControlRequest asks a running process for something and waits for a reply.
type ControlRequest struct {
	Verb   Verb   `json:"verb"`
	Job    string `json:"job,omitempty"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// ControlReply answers a control request.
type ControlReply struct {
	OK      bool            `json:"ok"`
	Node    string          `json:"node,omitempty"`
	Message string          `json:"message,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// DecodeControlRequest reads a control request.
func DecodeControlRequest(data []byte) (ControlRequest, error) {
	return decode[ControlRequest]("control request", data)
}

// DecodeControlReply reads a control reply.
func DecodeControlReply(data []byte) (ControlReply, error) {
	return decode[ControlReply]("control reply", data)
}

func decode[T any](what string, data []byte) (T, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("decode %s: %w", what, err)
	}
	return v, nil
}
