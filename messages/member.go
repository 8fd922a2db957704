package messages

import (
	"math"
	"time"
)

// MemberState is one member of a service as its keeper sees it. It travels with
// the node's heartbeats and answers status requests.
type MemberState struct {
	Service string `json:"service"`
	Member  string `json:"member"`
	// Healthy is whether the keeper's own look at the member went well.
	Healthy bool `json:"healthy"`
	// Role is "primary", "standby", "fenced", "fencing" while it could not be stopped, or "unknown".
	Role string `json:"role,omitempty"`
	// Writable is whether the member takes writes now.
	Writable bool `json:"writable,omitempty"`
	// State is what the keeper is doing with it, in one word.
	State string `json:"state,omitempty"`
	// Epoch is the highest of a coordinator that the keeper has obeyed; Tenure is that
	// of the service's lease, as long as it holds it, or the last one.
	Epoch  uint64 `json:"epoch,omitempty"`
	Tenure uint64 `json:"tenure,omitempty"`
	// Holds is whether the keeper holds the service's lease.
	Holds bool `json:"holds,omitempty"`
	// Timeline and Position are where the member's data is, in the words of its
	// kind; LagBytes and LagMillis are how far it is behind, -1 when unknown.
	Timeline  uint64 `json:"timeline,omitempty"`
	Position  string `json:"position,omitempty"`
	LagBytes  int64  `json:"lag_bytes,omitempty"`
	LagMillis int64  `json:"lag_ms,omitempty"`
	// Untold is whether it was stopped and could not be told so, because its process is not
	// there or hangs.
	Untold bool `json:"untold,omitempty"`
	// Detail is a sentence for people.
	Detail string `json:"detail,omitempty"`
	// Trouble is what is the matter with it that a person should know of, and Remedy what
	// a person can do about it.
	Trouble string `json:"trouble,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// The verbs of a [MemberCommand].
const (
	VerbFence   Verb = "fence"
	VerbPromote Verb = "promote"
	VerbDemote  Verb = "demote"
	VerbRejoin  Verb = "rejoin"
	// VerbConfirmStopped says that a person has stopped a member that could not be stopped.
	VerbConfirmStopped Verb = "confirm-stopped"
)

// MemberCommand is what the leading coordinator tells a keeper to do. A keeper
// refuses one whose epoch is below the highest it has seen. [VerbStatus] changes nothing;
// with an epoch it is obeyed like the others, so that commands of an older
// coordinator that are still under way come too late.
type MemberCommand struct {
	Verb    Verb   `json:"verb"`
	Service string `json:"service"`
	Member  string `json:"member"`
	// Epoch is the fencing token of the coordinator that commands.
	Epoch uint64 `json:"epoch"`
	// Tenure, when set, is the last tenure of a primary that is meant: a later one is
	// left alone.
	Tenure uint64 `json:"tenure,omitempty"`
	// Floor, when set, is a position that a member must have reached to be promoted.
	Floor string `json:"floor,omitempty"`
	// Force promotes a member that may lack what was acknowledged; a person decides
	// that.
	Force bool `json:"force,omitempty"`
	// Primary is whom a member follows that rejoins, by name; Address is where the
	// primary is reached.
	Primary string `json:"primary,omitempty"`
	Address string `json:"address,omitempty"`
	// PatienceMillis is how long whoever commands waits for the answer: a command that
	// has not begun to take effect by then is no longer in force. 0 is
	// [DefaultPatience].
	PatienceMillis int64  `json:"patience_ms,omitempty"`
	By             string `json:"by,omitempty"`
	Reason         string `json:"reason,omitempty"`
}

// DefaultPatience is how long a command is in force that does not say how long.
const DefaultPatience = time.Minute

// Patience is how long the command is in force.
func (c MemberCommand) Patience() time.Duration {
	if c.PatienceMillis <= 0 || c.PatienceMillis > math.MaxInt64/int64(time.Millisecond) {
		return DefaultPatience
	}
	return time.Duration(c.PatienceMillis) * time.Millisecond
}

// MemberReply answers a command.
type MemberReply struct {
	OK bool `json:"ok"`
	// Message is why not, for people, and Hint what to do about it; Code names reasons
	// that programs decide on.
	Message string     `json:"message,omitempty"`
	Hint    string     `json:"hint,omitempty"`
	Code    MemberCode `json:"code,omitempty"`
	// Tenure is the epoch of the lease that a promotion won.
	Tenure uint64      `json:"tenure,omitempty"`
	State  MemberState `json:"state"`
}

// MemberCode is a reason for which a keeper does not obey.
type MemberCode string

// The codes of a [MemberReply].
const (
	// MemberStale: the command's epoch is below one the keeper has seen.
	MemberStale MemberCode = "stale"
	// MemberBehind: the member may lack what was acknowledged.
	MemberBehind MemberCode = "behind"
	// MemberBusy: something else was commanded meanwhile.
	MemberBusy MemberCode = "busy"
	// MemberDeposed: another member has claimed the service.
	MemberDeposed MemberCode = "deposed"
)

// DecodeMemberCommand reads a command.
func DecodeMemberCommand(data []byte) (MemberCommand, error) {
	return decode[MemberCommand]("member command", data)
}

// DecodeMemberReply reads the answer to a command.
func DecodeMemberReply(data []byte) (MemberReply, error) {
	return decode[MemberReply]("member reply", data)
}
