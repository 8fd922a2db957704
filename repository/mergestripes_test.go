package repository

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mahavishnu/repository/lease"
	"mahavishnu/repository/parity"
	"mahavishnu/storage/faults"
)

// Joining is worth it when what it spares is twice what it keeps; stripes come by
// length.
func TestWorthJoining(t *testing.T) {
	for _, c := range []struct {
		name    string
		lengths []int
		members int // of each
		want    int
	}{
		{"two that are equally long wait for a third", []int{100, 100}, 1, 0},
		{"three are joined", []int{100, 100, 100}, 1, 3},
		{"and all more", []int{100, 100, 100, 100, 100}, 1, 5},
		{"up to as many packs as a stripe has", []int{100, 100, 100, 100, 100, 100, 100, 100, 100}, 1, 8},
		{"a long one waits until short ones amount to twice as much", []int{10, 10, 10, 100}, 1, 3},
		{"as these do", []int{70, 70, 70, 100}, 1, 4},
		{"each longer than all before", []int{1, 3, 9, 27, 81}, 1, 0},
		{"those that fill a stripe already", []int{100, 100, 100}, 4, 0},
		{"one", []int{100}, 1, 0},
	} {
		var small []*stripe
		n := byte(0)
		for _, length := range c.lengths {
			head := &parity.Head{Length: length}
			for range c.members {
				n++
				head.Members = append(head.Members, parity.Member{ID: PackID{n}})
			}
			small = append(small, &stripe{head: head})
		}
		if got := worthJoining(small, 8); got != c.want {
			t.Errorf("%s: %d of them are joined, want %d", c.name, got, c.want)
		}
	}
	twice := &stripe{head: &parity.Head{Length: 100, Members: []parity.Member{{ID: PackID{1}}}}}
	if got := worthJoining([]*stripe{twice, twice, twice}, 8); got != 0 {
		t.Errorf("stripes of the same pack: %d of them are joined", got)
	}
}

// A small backup each day, and a prune after it: at any time there are full stripes, of
// sixteen packs or more, and few others, not one for each backup; and each pack comes
// back from one.
func TestStripesOfSmallBackupsStayFew(t *testing.T) {
	disk, ring := faults.NewMemory(), newRing()
	created, err := Create(t.Context(), disk, ring, CreateOptions{Parity: StandardParity()})
	if err != nil {
		t.Fatal(err)
	}
	closeRepo(t, created)
	r := reopen(t, disk, ring)
	for day := range uint64(40) {
		s := startSession(t, r, SessionOptions{})
		mustSave(t, s, KindData, content(day, 30_000))
		mustCommit(t, s, Snapshot{Root: mustSave(t, s, KindTree, fmt.Append(nil, "root ", day))})
		c := collecting(t, r)
		if err := c.TidyStripes(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		stripes, longest, all := 0, 0, 0
		for name, data := range disk.Objects() {
			switch {
			case strings.HasPrefix(name, parity.StripePrefix):
				stripes += len(data)
			case strings.HasPrefix(name, packPrefix):
				longest, all = max(longest, len(data)), all+len(data)
			}
		}
		if stripes > 3*longest+all/8 {
			t.Fatalf("on day %d stripes have %d bytes, packs %d, the longest %d", day, stripes, all, longest)
		}
	}
	stillProtects(t, r, packsIn(disk))
}

// collecting is a collector that has looked around.
func collecting(t *testing.T, r *Repository) *Collector {
	t.Helper()
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := r.Collect(t.Context(), lease.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func packsIn(disk *faults.Memory) (ids []PackID) {
	for name := range disk.Objects() {
		if id, ok := parsePackObject(name); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Packs that lost their stripe, because a collector died in a storage that had no
// room for both the old one and the new one, get one again, but for those of a session
// at work.
func TestBarePacksGetAStripe(t *testing.T) {
	disk, ring := faults.NewMemory(), newRing()
	created, err := Create(t.Context(), disk, ring, CreateOptions{Parity: smallParity})
	if err != nil {
		t.Fatal(err)
	}
	closeRepo(t, created)
	r := reopen(t, disk, ring)
	s := startSession(t, r, SessionOptions{})
	for seed := range uint64(9) {
		mustSave(t, s, KindData, content(seed, testPack/2))
	}
	mustCommit(t, s, Snapshot{Root: mustSave(t, s, KindTree, []byte("root"))})
	bare := packsIn(disk)
	atWork := startSession(t, r, SessionOptions{})
	mustSave(t, atWork, KindData, content(99, 1000))
	if err := atWork.drain(t.Context()); err != nil { // its pack is there, and no stripe yet
		t.Fatal(err)
	}
	for name := range disk.Objects() {
		if strings.HasPrefix(name, parity.StripePrefix) {
			if err := disk.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := collecting(t, r)
	if err := c.TidyStripes(t.Context()); err != nil {
		t.Fatal(err)
	}
	set, err := r.readStripes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range packsIn(disk) {
		if covered := len(set.of(id)) == 1; covered != slices.Contains(bare, id) {
			t.Errorf("%s is in %d stripes", id.Object(), len(set.of(id)))
		}
	}
	if err := c.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	stillProtects(t, r, bare)
}
