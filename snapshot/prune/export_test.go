package prune

// InParts makes a run copy that many blobs before it condemns what they were
// copied from.
func InParts(o Options, blobs int) Options {
	o.part = blobs
	return o
}
