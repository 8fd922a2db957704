package repository

import (
	"bytes"
	"testing"

	"mahavishnu/storage"
)

// A pack larger than a piece, with records larger than one and very small ones,
// is checked whole: any byte that changes is told, and all blobs are told whole
// before.
func TestCheckPackOfManyPieces(t *testing.T) {
	r, _ := newRepo(t, CreateOptions{})
	s, err := r.Session(t.Context(), SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		size := []int{100, 700 << 10, 20, 3 << 19, 5000}[i%5]
		data := bytes.Repeat([]byte{byte(i), byte(i >> 3), 7}, size/3)
		for j := range data { // not to be compressed
			data[j] ^= byte(j*j>>7) ^ byte(j>>3*i)
		}
		if _, _, err := s.Save(t.Context(), KindData, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	var packs []PackInfo
	err = r.Packs(t.Context(), func(p PackInfo) error { packs = append(packs, p); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if problem, err := r.CheckPack(t.Context(), p.ID); problem != nil || err != nil {
			t.Fatalf("a whole pack: %v, %v", problem, err)
		}
		whole, err := storage.ReadAll(t.Context(), r.Backend(), p.ID.Object(), p.Size, nil)
		if err != nil {
			t.Fatal(err)
		}
		for at := int64(0); at < p.Size; at += p.Size/13 + 1 {
			bad := bytes.Clone(whole)
			bad[at] ^= 4
			if err := r.Backend().Put(t.Context(), p.ID.Object(), bad, storage.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if problem, err := r.CheckPack(t.Context(), p.ID); problem == nil || err != nil {
				t.Errorf("byte %d of %d changed: %v, %v", at, p.Size, problem, err)
			}
		}
	}
}

// Buffers come back as they were given, whatever their size, and go at the end.
func TestScratchLends(t *testing.T) {
	var s scratch
	for _, n := range []int{0, 1, 64 << 10, 64<<10 + 1, 3 << 20, 16 << 20} {
		a, b := s.get(n), s.get(n)
		if len(a.b) != n || len(b.b) != n {
			t.Fatalf("asked for %d bytes, got %d and %d", n, len(a.b), len(b.b))
		}
		if n > 0 {
			a.b[n-1], b.b[n-1] = 1, 2
			if a.b[n-1] != 1 {
				t.Fatal("one buffer was lent twice")
			}
		}
		s.put(a)
		again := s.get(n)
		if again.class != a.class || n > 0 && &again.b[0] != &a.b[0] {
			t.Errorf("%d bytes: the buffer was not used again", n)
		}
		s.put(again)
		s.put(b)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
