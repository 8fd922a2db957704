package prune_test

import (
	"strings"
	"testing"
	"time"

	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/snapshot/prune"
)

// An archival session relies on a pack that is condemned after it began, and another
// backup stores the same meanwhile, in a pack of its own kind. What the archival
// snapshot needs is kept in an archival pack all the same, and not in the other one
// once nobody else needs that.
func TestRescueKeepsToItsKindOfPacks(t *testing.T) {
	for _, kinds := range [][2]string{{repository.TypeArchival, snapshot.Full}, {snapshot.Full, repository.TypeArchival}} {
		w := newWorld(t)
		w.write("a", content(1, 30_000))
		backup := func(kind string) repository.Snapshot {
			o := w.options()
			o.Type = kind
			r, err := snapshot.Backup(t.Context(), w.open(w.disk), o)
			if err != nil {
				t.Fatal(err)
			}
			w.want[r.Snapshot.ID] = w.files(w.dir)
			return r.Snapshot
		}
		first := backup(kinds[0])
		var blobs []repository.ID
		w.open(w.disk).EachBlob(func(id repository.ID, _ repository.Location) bool {
			blobs = append(blobs, id)
			return true
		})
		session, err := w.open(w.disk).Session(t.Context(), repository.SessionOptions{Type: kinds[0]})
		if err != nil {
			t.Fatal(err)
		}
		w.forget(first)
		if r := w.prune(prune.Options{}); len(r.Waiting) != 1 {
			t.Fatalf("nothing waits for the session: %+v", r)
		}
		other := backup(kinds[1])
		for _, id := range blobs {
			if !session.Has(id) {
				t.Fatalf("the session does not have %s", id)
			}
		}
		first.ID, first.Time, first.Type = "0123456789abcdef", first.Time.Add(time.Second), kinds[0]
		if first, err = session.Commit(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		w.want[first.ID] = w.files(w.dir)
		w.forget(other)
		w.prune(patient())
		archival := kinds[0] == repository.TypeArchival
		for name, data := range w.disk.Objects() {
			if strings.HasPrefix(name, "packs/") && (data[7]&1 == 1) != archival {
				t.Errorf("%s is archival: %v", name, !archival)
			}
		}
		w.whole()
		w.tidy()
	}
}
