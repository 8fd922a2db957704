package main

import (
	"testing"

	"mahavishnu/coordinator/program"
)

// Scripts that control a service may run this program: that it lost its lease, and that a
// script found a higher epoch, must be the same answer.
func TestACommandThatLostItsLeaseEndsAsScriptsDo(t *testing.T) {
	t.Parallel()
	if exitFenced != program.Stale {
		t.Errorf("commands end with %d, scripts with %d", exitFenced, program.Stale)
	}
}
