package main

import (
	"sync"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/terminal"
)

const (
	// silence is for how long a command that somebody watches may wait for a storage
	// without a word.
	silence = 3 * time.Second
	// repeat is how long after such a word the next one comes.
	repeat = 15 * time.Second
	// calm is for how long nothing fails before a failure is a new one. It exceeds the
	// longest wait between two tries.
	calm = 45 * time.Second
)

// retries tells people what a command waits for while storage does not answer and
// is asked again.
type retries struct {
	clock clock.Clock
	warnf func(format string, args ...any)

	mu    sync.Mutex
	since time.Time // when the command began, or storage began to fail
	last  time.Time // when it failed last
	told  time.Time
}

// tell is told of every failure that is tried again after a wait.
func (r *retries) tell(location string, err error, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	if now.Sub(r.last) > calm && now.Sub(r.since) > calm {
		r.since, r.told = now, time.Time{}
	}
	r.last = now
	failing := now.Sub(r.since)
	if failing+wait < silence || !r.told.IsZero() && now.Sub(r.told) < repeat {
		return
	}
	r.told = now
	next := ""
	if hints := fault.Hints(err); len(hints) > 0 {
		next = "; " + hints[0]
	}
	r.warnf("%s has not answered for %s and is asked again: %v%s", location, terminal.Duration(failing.Round(time.Second)), err, next)
}
