package main

import "runtime/debug"

// gcPercent is how much garbage may pile up, in percent of what is in use,
// before it is collected. Go's default of 100 doubles the memory of a backup for
// nothing: what lives long is tables and buffers without pointers, which cost
// the collector no time, so that collecting twice as often cannot be measured.
// There is no limit beside it: one below what a job needs would keep the
// collector busy without end.
const gcPercent = 50

// tuneMemory sets the collector, unless whoever started the process has set it
// with GOGC or GOMEMLIMIT.
func tuneMemory(lookup func(string) (string, bool)) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := lookup(name); set {
			return
		}
	}
	debug.SetGCPercent(gcPercent)
}
