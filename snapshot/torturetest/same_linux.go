package torturetest

import (
	"os/exec"
	"testing"
)

// Same fails the test unless rsync, comparing every byte and all metadata,
// finds nothing to do in either direction. Where rsync cannot go (paths beyond
// PATH_MAX) it is told not to.
func Same(tb testing.TB, a, b string) {
	tb.Helper()
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		tb.Fatalf("this test needs rsync: %v", err)
	}
	for _, dir := range [][2]string{{a, b}, {b, a}} {
		cmd := exec.CommandContext(tb.Context(), rsync, "-aHAXn", "--checksum", "--delete", "-i", "--exclude=/"+Deep, dir[0]+"/", dir[1]+"/")
		out, err := cmd.CombinedOutput()
		if err != nil {
			tb.Fatalf("rsync: %v\n%s", err, out)
		}
		if len(out) > 0 {
			tb.Errorf("rsync would change:\n%s", out)
		}
	}
}
