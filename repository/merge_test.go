package repository

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"mahavishnu/repository/index"
)

// Merging fragments finds what looking up each blob in each of them finds, in the
// same order.
func TestMergeFindsAllPlaces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var fragments []*fragment
	all := map[ID]bool{}
	for n := range 7 {
		b := &index.Builder{}
		p := index.Pack{ID: PackID{byte(n)}}
		var entries []index.Entry
		for range n * 50 { // the first has none
			id := ID{byte(rng.IntN(4)), byte(rng.IntN(100))}
			entries = append(entries, index.Entry{ID: id, Stored: 1, Raw: 1})
			all[id] = true
		}
		p.Blobs = uint32(len(entries))
		b.AddPack(p, entries)
		text, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		f, err := index.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		fragments = append(fragments, &fragment{Fragment: f})
	}
	var last ID
	met := 0
	err := merge(t.Context(), fragments, func(places []place) {
		id := fragments[places[0].fragment].Entry(places[0].entry).ID
		if met++; met > 1 && id.Compare(last) <= 0 {
			t.Errorf("%s comes after %s", id, last)
		}
		last = id
		for i, f := range fragments {
			n, ok := f.Find(id)
			if ok && (len(places) == 0 || places[0] != place{i, n}) {
				t.Fatalf("%s is in fragment %d at %d; merging gave %v", id, i, n, places)
			}
			if ok {
				places = places[1:]
			}
		}
		if len(places) > 0 {
			t.Errorf("%s: %v too many", id, places)
		}
	})
	if err != nil || met != len(all) {
		t.Errorf("%d of %d blobs, %v", met, len(all), err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := merge(stopped, fragments, func([]place) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}
