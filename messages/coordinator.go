package messages

import "time"

// CoordinatorStatus is what a coordinator answers to [VerbStatus]: whom it sees,
// since when, and why each verdict stands. Moments are told as milliseconds that
// have passed, -1 for never.
type CoordinatorStatus struct {
	Node   string `json:"node"`
	Region string `json:"region"`
	// Epoch is that of its leadership; 0 when it does not lead.
	Epoch uint64 `json:"epoch,omitempty"`
	// LeadingMillis is for how long it has led.
	LeadingMillis int64        `json:"leading_ms,omitempty"`
	Quorum        QuorumStatus `json:"quorum"`
	// Stretch is by how much it distrusts its own suspicions, 1 to 8, and Ailments
	// is why.
	Stretch  float64         `json:"stretch"`
	Ailments string          `json:"ailments,omitempty"`
	Nodes    []NodeStatus    `json:"nodes"`
	Services []ServiceStatus `json:"services"`
	// Reacting is what the leader is doing about it, for people.
	Reacting string `json:"reacting,omitempty"`
	// Troubles are sentences about what this coordinator could not do as it should:
	// plan files that it cannot read, for one.
	Troubles []string `json:"troubles,omitempty"`
}

// QuorumStatus is whether a coordinator is on the side that may decide.
type QuorumStatus struct {
	Have        bool          `json:"have"`
	SinceMillis int64         `json:"since_ms"`
	Reached     int           `json:"regions_reached"`
	Needed      int           `json:"regions_needed"`
	Why         string        `json:"why"`
	Voters      []VoterStatus `json:"voters"`
}

// VoterStatus is what a coordinator sees of one that votes.
type VoterStatus struct {
	Node   string `json:"node"`
	Region string `json:"region"`
	Self   bool   `json:"self,omitempty"`
	// Heard is whether its reports arrive, HearsUs whether ours arrive there.
	Heard      bool  `json:"heard"`
	HearsUs    bool  `json:"hears_us"`
	LastMillis int64 `json:"last_ms"`
}

// Seen is what one coordinator thinks of a target, and the verdict of all.
type Seen struct {
	// State is the coordinator's own opinion: "up", "suspect" or "down".
	State       string `json:"state"`
	SinceMillis int64  `json:"since_ms"`
	// SilentMillis is how long nothing was heard of it; Phi is how surprising that
	// is.
	SilentMillis int64   `json:"silent_ms"`
	Phi          float64 `json:"phi"`
	Reason       string  `json:"reason,omitempty"`
	// Verdict is that of the majority: "up", "suspect", "down" or "unknown".
	Verdict       string `json:"verdict"`
	VerdictMillis int64  `json:"verdict_since_ms"`
	Why           string `json:"why"`
}

// NodeStatus is one node as a coordinator sees it.
type NodeStatus struct {
	Node    string   `json:"node"`
	Region  string   `json:"region"`
	Roles   []string `json:"roles"`
	Version string   `json:"version,omitempty"`
	// Serves are the regions whose jobs its worker takes, or still runs.
	Serves []string `json:"serves,omitempty"`
	// Started is when it was started last, by its own clock.
	Started time.Time `json:"started,omitzero"`
	// Starts counts how often it started anew while it was watched.
	Starts int `json:"starts"`
	// Island is set while it works with its region's own queue, being cut off.
	Island bool `json:"island,omitempty"`
	// Twin says in a sentence that two processes have this name.
	Twin string `json:"twin,omitempty"`
	Seen
}

// ServiceStatus is one watched service as a coordinator sees it.
type ServiceStatus struct {
	Service string         `json:"service"`
	Kind    string         `json:"kind"`
	Members []MemberStatus `json:"members"`
	// UnservedMillis is for how long this coordinator has known of no member that holds
	// the lease and takes writes; 0 while it knows of one, and for services without
	// keepers.
	UnservedMillis int64 `json:"unserved_ms,omitempty"`
}

// MemberStatus is one member of a service as a coordinator sees it.
type MemberStatus struct {
	Member  string `json:"member"`
	Node    string `json:"node,omitempty"`
	Region  string `json:"region,omitempty"`
	Address string `json:"address,omitempty"`
	// Probe is how the last probe failed, or "".
	Probe string `json:"probe,omitempty"`
	// Keeper is what its keeper said last; nil when it was never heard.
	Keeper *MemberState `json:"keeper,omitempty"`
	// KeeperSilentMillis is how long ago that was, when its node's heartbeats are missed:
	// the member may be otherwise since. 0 while they are not.
	KeeperSilentMillis int64 `json:"keeper_silent_ms,omitempty"`
	Seen
}

// DecodeCoordinatorStatus reads a coordinator's answer.
func DecodeCoordinatorStatus(data []byte) (CoordinatorStatus, error) {
	return decode[CoordinatorStatus]("coordinator status", data)
}
