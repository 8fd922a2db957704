package replication

// Bounds beyond which it is not believed that somebody deleted on purpose.
const (
	// suspectSnapshots is how many snapshots have to go at once for the share of them
	// to tell anything.
	suspectSnapshots = 5
	// suspectBytes is the same of packs, in bytes.
	suspectBytes = 1 << 30
)

// emptied tells whether most of what the replica has, and did not know to be gone, is
// gone from the primary at once: somebody emptied it, or a disk is not mounted where
// it was. Deleting by rule leaves the last snapshot of every source, so no primary
// gets rid of all of them, nor of all packs.
func (r *run) emptied() bool {
	if r.Force {
		return false
	}
	known, missed := 0, 0
	for name := range r.dst.snapshots {
		if _, noted := r.notes.gone[keyOf(name)]; noted {
			continue
		}
		known++
		if _, there := r.src.snapshots[name]; !there {
			missed++
		}
	}
	if known > 0 && len(r.src.snapshots) == 0 || missed >= suspectSnapshots && 2*missed > known {
		return true
	}
	var had int64
	for _, it := range r.dst.packs {
		if _, noted := r.notes.gone[it.key]; !noted {
			had += it.size
		}
	}
	left := sumSizes(r.src.packs)
	return had > 0 && len(r.src.packs) == 0 || had-left >= suspectBytes && 2*left < had
}
