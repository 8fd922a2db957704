package index

import (
	"bytes"
	"testing"

	"mahavishnu/repository/blob"
)

// What is stored makes the same fragment again, but for the filter, any of which
// is right.
func TestStoredAndDecoded(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		b, entries, packOf := sample(n)
		b.Replace(Name{9}, Name{3})
		if _, err := b.Build(); err != nil {
			t.Fatal(err)
		}
		stored := b.Stored()
		again, err := Decode(stored)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Stored(), stored) {
			t.Errorf("%d entries: other bytes come back", n)
		}
		text, err := again.Build()
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(text)
		if err != nil || f.Len() != n || len(f.Replaces()) != 2 || f.Replaces()[0] != (Name{3}) {
			t.Fatalf("%d entries: %d, replacing %d, %v", n, f.Len(), len(f.Replaces()), err)
		}
		for id, want := range entries {
			e, ok := f.Lookup(id)
			p, _ := f.Pack(e.Pack)
			if !ok || p.ID != packOf[id] || p.KeyVersion != 3 || e.Offset != want.Offset || e.Stored != want.Stored || e.Raw != want.Raw {
				t.Fatalf("entry %+v in pack %s, want %+v in %s", e, p.ID, want, packOf[id])
			}
		}
	}
}

// A session's entries follow each other in their packs, which is what the stored
// form is small by.
func TestStoredIsSmall(t *testing.T) {
	var b Builder
	var list []Entry
	for i := range 1000 {
		list = append(list, Entry{ID: blob.ID{byte(i), byte(i >> 8)}, Offset: uint32(32 + 4000*i), Stored: 4000, Raw: 10000})
	}
	b.AddPack(Pack{ID: blob.PackID{1}, Size: 5 << 20, Blobs: 1000, Kind: blob.KindData}, list)
	if _, err := b.Build(); err != nil {
		t.Fatal(err)
	}
	if n := len(b.Stored()); n > 37*1000+100 {
		t.Errorf("1000 entries take %d bytes", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 3} {
		b, _, _ := sample(n)
		if _, err := b.Build(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Stored())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Decode(data)
		if err != nil {
			return
		}
		text, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text); err != nil {
			t.Fatal(err)
		}
		// Once in order, it stays as it is.
		stored := b.Stored()
		again, err := Decode(stored)
		if err != nil || !bytes.Equal(again.Stored(), stored) {
			t.Fatalf("it does not come back: %v", err)
		}
	})
}
