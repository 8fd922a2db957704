package handlers

import (
	"strings"
	"testing"

	"mahavishnu/messages"
	"mahavishnu/storage"
	"mahavishnu/storage/faults"
)

// A job that meets data in an archive class ends at once, and says which command thaws it:
// waiting for hours, and what it costs, is for a person to want.
func TestRestoreJobOfArchivedData(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		r.wrap = func(be storage.Backend) storage.Backend {
			f := faults.Wrap(be)
			for _, prefix := range []string{"packs/", "parity/"} { // which would mend small packs
				f.On(faults.Get).Under(prefix).Times(-1).Fail(storage.ErrArchived)
			}
			return f
		}
	})
	wrap := r.wrap
	r.wrap = nil
	r.write("c.txt", strings.Repeat("gamma", 10_000))
	snap := r.backup()
	r.wrap = wrap
	rec := r.do(&messages.RestoreSpec{Snapshot: snap.Snapshot, Target: "out"})
	if rec.State != messages.StateFailed || rec.Attempt != 1 || !strings.Contains(rec.Error, "mahavishnu restore SNAPSHOT --thaw --target DIR") {
		t.Errorf("the job is %s after %d attempts: %s", rec.State, rec.Attempt, rec.Error)
	}
}
