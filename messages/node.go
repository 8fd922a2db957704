package messages

import "time"

// What a [NodeRecord] knows of its node.
const (
	// NodeUp: it is heard.
	NodeUp = "up"
	// NodeSilent: it is not, and nobody knows why.
	NodeSilent = "silent"
	// NodeLeft: it stopped because it was told to.
	NodeLeft = "left"
)

// NodeRecord is what is known of a node, whether it is there or not: the value of its
// key in dr_nodes, which the leading coordinator writes.
type NodeRecord struct {
	Node    string   `json:"node"`
	Region  string   `json:"region"`
	Roles   []string `json:"roles,omitempty"`
	Version string   `json:"version,omitempty"`
	// Started is when it was started last, by its own clock.
	Started time.Time `json:"started"`
	// State is [NodeUp], [NodeSilent] or [NodeLeft].
	State string `json:"state"`
	// First is when it was first heard, and Seen when it was last heard; of one that is
	// up, Seen may be some minutes old. Both are by the clock of the coordinator.
	First time.Time `json:"first_seen"`
	Seen  time.Time `json:"last_seen"`
	// By is the coordinator that wrote this.
	By string `json:"by"`
}

// NodeKey is the key of a node in dr_nodes.
func NodeKey(region, node string) string { return region + "." + node }

// DecodeNodeRecord reads a record of a node.
func DecodeNodeRecord(data []byte) (NodeRecord, error) {
	return decode[NodeRecord]("node record", data)
}
