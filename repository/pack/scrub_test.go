package pack

import "testing"

// However a pack is cut into pieces, the check says the same.
func TestScrubberTakesAnyPieces(t *testing.T) {
	f := build(t, []int{0, 1, 100, 3}, true)
	want, err := Scrub(f.data, f.header.ID)
	if err != nil {
		t.Fatal(err)
	}
	for step := 1; step <= len(f.data); step++ {
		s := NewScrubber(int64(len(f.data)))
		for rest := f.data; len(rest) > 0; {
			n := min(step, len(rest))
			s.Add(rest[:n])
			rest = rest[n:]
		}
		if got, err := s.Finish(f.header.ID); err != nil || got != want {
			t.Fatalf("pieces of %d bytes: %+v, %v", step, got, err)
		}
	}
	for _, size := range []int{0, 1, HeaderSize, TrailerSize - 1, TrailerSize, len(f.data) - 1} {
		s := NewScrubber(int64(len(f.data)))
		s.Add(f.data[:size])
		if _, err := s.Finish(f.header.ID); err == nil {
			t.Errorf("%d bytes of %d passed", size, len(f.data))
		}
	}
}
