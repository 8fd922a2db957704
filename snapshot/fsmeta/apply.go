package fsmeta

import "mahavishnu/snapshot/tree"

// Ownership says whom restored entries belong to.
type Ownership uint8

const (
	// OwnerIDs gives entries the numeric owner and group of the snapshot. It is
	// the default: identical on the same machine, right for whole systems.
	OwnerIDs Ownership = iota
	// OwnerNames prefers the recorded names where this machine knows them, and
	// falls back to the numbers: right when moving data between machines.
	OwnerNames
	// OwnerNone leaves entries to whoever restores them.
	OwnerNone
)

// owner returns the ids that n is to have here.
func (o Ownership) owner(n *tree.Node, owners *Owners) (uid, gid uint32) {
	uid, gid = n.UID, n.GID
	if o != OwnerNames {
		return uid, gid
	}
	if n.User != "" {
		if id, ok := owners.UID(n.User); ok {
			uid = id
		}
	}
	if n.Group != "" {
		if id, ok := owners.GID(n.Group); ok {
			gid = id
		}
	}
	return uid, gid
}
