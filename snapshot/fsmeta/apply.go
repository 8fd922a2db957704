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

// newMode is the mode that a new file of n's begins with: its own, so that it
// need not be set later, if that gives nobody more than n does even before the
// group is set. A file with attributes, which may be access lists that say less
// than the mode, begins closed, and so does one that its owner may not write.
func newMode(n *tree.Node) uint32 {
	group, others := n.Mode>>3&7, n.Mode&7
	if len(n.Xattrs) > 0 || n.Mode&0o600 != 0o600 || others&2 != 0 || group&^others != 0 {
		return 0o600
	}
	return n.Mode & 0o777
}

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
