package repository

import (
	"strings"
	"testing"
	"time"

	"mahavishnu/clock"
)

// Forgetting leaves a note that takes no key, which counts as no use of one, and which a
// collector removes when it is old enough.
func TestNotesOfTheForgotten(t *testing.T) {
	o := newOneSnapshot(t)
	if err := o.DeleteSnapshot(t.Context(), o.snap); err != nil {
		t.Fatal(err)
	}
	now := clock.System().Now()
	for name, days := range map[string]int{"snapshots/s/old": 402, "snapshots/s/young": 398} {
		if err := NoteGone(t.Context(), o.disk, name, now.Add(-time.Duration(days)*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	notes := func() map[string]bool {
		all := map[string]bool{}
		if err := EachGone(t.Context(), o.disk, func(name, note string) {
			all[name] = strings.HasPrefix(note, gonePrefix)
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := notes(); len(all) != 3 || !all[o.name] {
		t.Errorf("noted: %v", all)
	}
	uses, err := o.KeyUses(t.Context())
	if err != nil || len(uses.Unknown) > 0 {
		t.Errorf("%+v, %v", uses, err)
	}
	checkWhole(t, o.Repository)
	if err := o.tidyGone(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := notes(); len(all) != 2 || all["snapshots/s/old"] {
		t.Errorf("left: %v", all)
	}
}
