package main

import (
	"time"

	"mahavishnu/terminal"
)

// tellProtection says until when the storage keeps everything from being deleted.
func (e *env) tellProtection(until time.Time) {
	if e.clock.Now().Before(until) {
		e.term.Sayf("everything is kept from being deleted until %s; a prune keeps what is needed for longer", terminal.Moment(until.Local()))
		return
	}
	since := ""
	if !until.IsZero() {
		since = ", since " + terminal.Moment(until.Local())
	}
	e.term.Warnf("part of what is stored can be deleted by whoever has the credentials%s; `mahavishnu prune` keeps what is needed for longer", since)
}
