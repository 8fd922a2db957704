package lease

// Process says which process holds a session, in terms that only the machine it
// runs on can judge.
type Process struct {
	// Boot names one run of one machine's system: a hash of the kernel's boot id,
	// the machine id and the host's name. A copy of a running machine has the first two
	// from it.
	Boot string `json:"boot"`
	// Space names what process numbers count in (on Linux the PID namespace, by
	// inode), Clocks what times since boot count from (the time namespace).
	Space  string `json:"space"`
	Clocks string `json:"clocks,omitempty"`
	// PID is the process's number in Space.
	PID int `json:"pid"`
	// Start is when it started: clock ticks since boot, by Clocks.
	Start uint64 `json:"start"`
}

// here tells whether a process of that description runs, or ran, where this
// program can see it if it is there: on the same machine since the same boot,
// counted in the same space. What is not told is nowhere.
func (p *Process) here(me *Process) bool {
	return p != nil && me != nil && p.Boot != "" && p.Space != "" && p.PID > 0 &&
		p.Boot == me.Boot && p.Space == me.Space
}
