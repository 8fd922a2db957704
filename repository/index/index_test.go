package index

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/repository/blob"
)

func randomID(rng *rand.Rand) (id blob.ID) {
	for i := 0; i < len(id); i += 8 {
		binary.LittleEndian.PutUint64(id[i:], rng.Uint64())
	}
	return id
}

// sample builds a fragment of n blobs in packs of up to 100.
func sample(n int) (*Builder, map[blob.ID]Entry, map[blob.ID]blob.PackID) {
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	b := &Builder{}
	entries := map[blob.ID]Entry{}
	packOf := map[blob.ID]blob.PackID{}
	for left := n; left > 0 || b.Empty(); {
		p := Pack{Size: rng.Uint32(), KeyVersion: 3, Kind: blob.Kind(1 + rng.IntN(2)), Flags: 1}
		id := randomID(rng)
		copy(p.ID[:], id[:])
		var list []Entry
		for range min(left, 100) {
			e := Entry{ID: randomID(rng), Offset: rng.Uint32(), Stored: rng.Uint32() >> 8, Raw: rng.Uint32() >> 8}
			list = append(list, e)
			entries[e.ID] = e
			packOf[e.ID] = p.ID
		}
		p.Blobs = uint32(len(list))
		left -= len(list)
		b.AddPack(p, list)
	}
	return b, entries, packOf
}

func TestBuildAndLookup(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 10, 33, 100, 101, 1000, 20000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b, entries, packOf := sample(n)
			data, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := OpenFile(path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}()
			if f.Len() != n {
				t.Fatalf("%d entries, want %d", f.Len(), n)
			}
			for id, want := range entries {
				got, ok := f.Lookup(id)
				p, ok2 := f.Pack(got.Pack)
				got.Pack = 0
				if !ok || !ok2 || got != want || p.ID != packOf[id] || p.KeyVersion != 3 || p.Flags != 1 {
					t.Fatalf("Lookup %s = %+v %v in %+v, want %+v", id, got, ok, p, want)
				}
				if i, ok := f.FindPack(p.ID); !ok {
					t.Fatalf("FindPack %s = %d, %v", p.ID, i, ok)
				}
				miss := id
				miss[31] ^= 1
				if _, ok := f.Lookup(miss); ok {
					t.Fatal("found what is not there")
				}
			}
			if n >= 1000 {
				if per := float64(len(data)) / float64(n); per > 48 {
					t.Errorf("%.1f bytes a blob, want 48 at most", per)
				}
			}
		})
	}
}

// Ids that are not evenly spread only cost steps.
func TestUnevenIDs(t *testing.T) {
	b := &Builder{}
	var list []Entry
	for i := range 5000 {
		var id blob.ID
		binary.BigEndian.PutUint64(id[24:], uint64(i)*uint64(i))
		if i%7 == 0 {
			id[0] = 255
		}
		id[31], id[24] = byte(i), byte(i>>8)
		list = append(list, Entry{ID: id, Offset: uint32(i)})
	}
	b.AddPack(Pack{}, list)
	data, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if got, ok := f.Lookup(e.ID); !ok || got.ID != e.ID {
			t.Fatalf("Lookup %s = %+v, %v", e.ID, got, ok)
		}
	}
}

// When a pack was stored is told for each pack, and the earliest time wins.
func TestStoredTimes(t *testing.T) {
	old, fresh := &Builder{}, &Builder{}
	old.AddPack(Pack{ID: blob.PackID{1}}, []Entry{{ID: blob.ID{1}}})
	old.AddPack(Pack{ID: blob.PackID{2}}, []Entry{{ID: blob.ID{2}}})
	old.SetStored(1000)
	fresh.AddPack(Pack{ID: blob.PackID{1}}, []Entry{{ID: blob.ID{1}}})
	fresh.AddPack(Pack{ID: blob.PackID{3}}, []Entry{{ID: blob.ID{3}}})
	fresh.SetStored(2000)
	fresh.AddPack(Pack{ID: blob.PackID{4}}, []Entry{{ID: blob.ID{4}}})
	fresh.AddPack(Pack{ID: blob.PackID{2}}, []Entry{{ID: blob.ID{2}}})
	for _, order := range [][2]*Builder{{old, fresh}, {fresh, old}} {
		merged := &Builder{}
		merged.Join(order[0])
		merged.Join(order[1])
		data, err := merged.Build()
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []int64{1000, 1000, 2000, 0} {
			if p, _ := f.Pack(uint32(i)); p.Stored != want || !p.Same(Pack{ID: p.ID}) {
				t.Errorf("pack %s: stored %d, want %d", p.ID, p.Stored, want)
			}
		}
	}
}

func TestDuplicatesAreKeptOnce(t *testing.T) {
	b := &Builder{}
	id := blob.ID{5}
	b.AddPack(Pack{ID: blob.PackID{2}}, []Entry{{ID: id, Offset: 1}, {ID: id, Offset: 2}})
	b.AddPack(Pack{ID: blob.PackID{1}}, []Entry{{ID: id, Offset: 3}})
	other := &Builder{}
	other.AddPack(Pack{ID: blob.PackID{2}}, []Entry{{ID: blob.ID{6}}})
	b.Join(other)
	data, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(data)
	if err != nil || f.Len() != 2 || f.Packs() != 2 {
		t.Fatalf("%d entries in %d packs, %v; want 2 in 2", f.Len(), f.Packs(), err)
	}
	e, _ := f.Lookup(blob.ID{6})
	if p, _ := f.Pack(e.Pack); p.ID != (blob.PackID{2}) {
		t.Errorf("joined entry is in pack %s", p.ID)
	}
}

// A filter is an aid: a fragment without one finds everything too.
func TestWithoutAFilter(t *testing.T) {
	b, entries, _ := sample(300)
	data, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	prints := int(binary.LittleEndian.Uint32(data[40:]))
	data = data[:len(data)-sumSize-prints]
	clear(data[24:44])
	data = binary.LittleEndian.AppendUint64(data, xxhash.Sum64(data))
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for id := range entries {
		if _, ok := f.Lookup(id); !ok {
			t.Fatalf("%s is not found", id)
		}
		id[5] ^= 1
		if _, ok := f.Lookup(id); ok {
			t.Fatal("found what is not there")
		}
	}
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	b, _, _ := sample(20)
	data, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] ^= 2
		if _, err := Parse(data); err == nil {
			t.Errorf("byte %d: not noticed", i)
		}
		data[i] ^= 2
		if _, err := Parse(data[:i]); err == nil {
			t.Errorf("cut after %d bytes: not noticed", i)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, n := range []int{0, 1, 30} {
		b, _, _ := sample(n)
		data, err := b.Build()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = Parse(data)
		if n := len(data); n > sumSize { // and behind a checksum that agrees
			binary.LittleEndian.PutUint64(data[n-sumSize:], xxhash.Sum64(data[:n-sumSize]))
		}
		fragment, err := Parse(data)
		if err != nil {
			return
		}
		for i := range fragment.Len() {
			e, _ := fragment.Lookup(fragment.Entry(i).ID)
			fragment.Pack(e.Pack)
		}
		fragment.Lookup(blob.ID{})
		fragment.FindPack(blob.PackID{1})
	})
}

func BenchmarkLookup(b *testing.B) {
	builder, entries, _ := sample(256 << 10)
	data, err := builder.Build()
	if err != nil {
		b.Fatal(err)
	}
	f, err := Parse(data)
	if err != nil {
		b.Fatal(err)
	}
	hits := make([]blob.ID, 0, len(entries))
	for id := range entries {
		hits = append(hits, id)
	}
	misses := make([]blob.ID, len(hits))
	rng := rand.New(rand.NewPCG(9, 9))
	for i := range misses {
		misses[i] = randomID(rng)
	}
	for name, ids := range map[string][]blob.ID{"hit": hits, "miss": misses} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				f.Lookup(ids[i%len(ids)])
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	builder, _, _ := sample(256 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := builder.Build(); err != nil {
			b.Fatal(err)
		}
	}
}
