package histories

import (
	"fmt"
	"testing"
)

// A repair leaves alone what a compaction of the index has replaced: snapshots
// name those fragments still.
func TestRepairAfterCompaction(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, memoryDir(t))
		for i := range 12 {
			r := w.open()
			if err := w.backupNow(t.Context(), r, i+1, content{"d0/f0": uint64(i + 1)}, fmt.Sprint("job-", i)); err != nil {
				t.Fatal(err)
			}
			w.close(r)
		}
		w.pruneNow()
		before := w.disk.Objects()
		w.repairNow()
		w.same("a repair with nothing to repair", before)
	})
}
