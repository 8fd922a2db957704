package messages

import "strings"

// ValidLease reports whether s can be a lease's name: names as in [ValidName] with
// dots between them, at most 128 bytes. What permissions are to tell apart by kind
// begins with the kind and a dot, as "session.7f3a": a NATS permission can say
// "session.*" and not "session-*".
func ValidLease(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !ValidName(part) {
			return false
		}
	}
	return len(s) <= maxID
}
