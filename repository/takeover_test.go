package repository

import (
	"strings"
	"testing"
	"time"

	"mahavishnu/storage/faults"
)

// TestSnapshotsTellWhatTheyCost interrupts backups: two that end in good order, so
// that what they stored is indexed, and one so that it is not. The snapshot that is
// made at last tells what all of that takes, and nobody's after it.
func TestSnapshotsTellWhatTheyCost(t *testing.T) {
	disk, ring := faults.NewMemory(), newRing()
	made, err := Create(t.Context(), disk, ring, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closeRepo(t, made)
	begin := func(source string) *Session {
		t.Helper()
		time.Sleep(2 * time.Millisecond) // sessions tell in milliseconds when they began
		return startSession(t, reopen(t, disk, ring), SessionOptions{Source: source})
	}
	// interrupted stores blobs and returns what the new ones take.
	interrupted := func(seeds ...uint64) int64 {
		t.Helper()
		s := begin("s")
		for _, seed := range seeds {
			mustSave(t, s, KindData, content(seed, 5_000))
		}
		stats, err := s.Abort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return stats.StoredBytes
	}
	cost := interrupted(1) + interrupted(1, 2)
	before := disk.Objects()
	cost += interrupted(3)
	for name := range disk.Objects() {
		if strings.Contains(name, indexPrefix) && before[name] == nil {
			if err := disk.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if cost < 7_500 || cost > 15_000 {
		t.Fatalf("three blobs of 5,000 bytes take %d", cost)
	}

	s := begin("s")
	if got := s.Stats(); got.AdoptedStored != cost || got.AdoptedBlobs != 3 || got.AdoptedBytes != 15_000 || got.AdoptedPacks != 3 {
		t.Errorf("all that was left takes %d: %+v", cost, got)
	}
	root := mustSave(t, s, KindTree, []byte("root"))
	for seed := range uint64(4) {
		mustSave(t, s, KindData, content(seed, 5_000)) // 0 is new
	}
	snap := mustCommit(t, s, Snapshot{Source: "s", ID: "a", Root: root})
	if snap.Totals.TakenOverBytes != cost || snap.Totals.Cost() != cost+snap.Totals.StoredBytes || snap.Totals.StoredBytes < 2_500 || snap.Totals.StoredBytes > 5_100 {
		t.Errorf("the snapshot tells %+v", snap.Totals)
	}
	for _, source := range []string{"s", "other"} {
		next := begin(source)
		if got := next.Stats(); got.AdoptedStored != 0 || got.AdoptedPacks != 0 {
			t.Errorf("the next of %s took over %+v", source, got)
		}
		if _, err := next.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
