package main

import (
	"runtime/debug"
	"testing"
)

func TestMemoryIsTunedUnlessTheUserDid(t *testing.T) {
	before := debug.SetGCPercent(70)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for _, c := range []struct {
		env  string
		want int
	}{{"GOGC", 70}, {"GOMEMLIMIT", 70}, {"", gcPercent}} {
		debug.SetGCPercent(70)
		tuneMemory(func(name string) (string, bool) { return "", name == c.env })
		if got := debug.SetGCPercent(70); got != c.want {
			t.Errorf("with %q set: %d percent, want %d", c.env, got, c.want)
		}
	}
}
