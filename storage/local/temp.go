package local

import (
	"os"
	"path/filepath"
	"time"
)

// tempDir holds files that are being written. They are of no object yet, so a
// dead writer's leftovers only cost space.
const tempDir = ".tmp"

// asideDir holds directories that lay where an object belongs.
const asideDir = ".aside"

// staleAfter is the age at which a temporary file belongs to a dead writer: no
// put takes that long.
const staleAfter = 24 * time.Hour

// sweepStale removes the leftovers of dead writers. Age is measured against
// the file system's own clock, by a file created now, because the machine's
// clock may differ from that of a network share. Nothing depends on the sweep:
// its failures show in the put that follows, if they matter.
func (b *Backend) sweepStale() {
	dir := filepath.Join(b.root, tempDir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return
	}
	probe, err := os.CreateTemp(dir, "put-")
	if err != nil {
		return
	}
	defer os.Remove(probe.Name()) //nolint:errcheck // swept the next time
	info, err := probe.Stat()
	if closeErr := probe.Close(); err != nil || closeErr != nil {
		return
	}
	now := info.ModTime()
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > staleAfter {
			_ = os.Remove(filepath.Join(dir, e.Name())) // swept the next time
		}
	}
}
