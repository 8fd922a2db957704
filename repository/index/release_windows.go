package index

// release leaves the pages to the system, which takes them when it needs room.
func release([]byte) {}
