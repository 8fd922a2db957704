package pending

import (
	"math/rand/v2"
	"testing"

	"mahavishnu/repository/blob"
)

// A table of ids does what a map does, whatever is added and removed, also when
// ids meet at one place and at the end of the table.
func TestIDSetIsASet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, crowd := range []int{0, 1, 200} {
		var s idSet
		want := map[blob.ID]bool{}
		ids := make([]blob.ID, 3000)
		for i := range ids {
			for j := range ids[i] {
				ids[i][j] = byte(rng.Uint32())
			}
			if i < crowd { // all of these belong at the last place
				for j := 8; j < 16; j++ {
					ids[i][j] = 0xff
				}
			}
		}
		for step := range 60000 {
			id := ids[rng.IntN(len(ids))]
			if rng.IntN(5) < 2+2*(step/20000)%3 {
				if s.add(id) == want[id] {
					t.Fatalf("step %d: add of an id: new is %v", step, want[id])
				}
				want[id] = true
			} else {
				s.remove(id)
				delete(want, id)
			}
			if probe := ids[rng.IntN(len(ids))]; s.has(probe) != want[probe] {
				t.Fatalf("step %d: has is %v", step, !want[probe])
			}
		}
		for _, id := range ids {
			if s.has(id) != want[id] {
				t.Fatalf("has is %v in the end", !want[id])
			}
			s.remove(id)
		}
		if s.n != 0 {
			t.Errorf("%d ids are left", s.n)
		}
		for _, id := range s.table {
			if id != (blob.ID{}) {
				t.Fatal("the empty table is not empty")
			}
		}
	}
}

func TestIDSetOfNothing(t *testing.T) {
	var s idSet
	s.remove(blob.ID{1})
	if s.has(blob.ID{1}) || s.has(blob.ID{}) || !s.add(blob.ID{}) || s.has(blob.ID{}) {
		t.Error("the zero id stands for nothing")
	}
}

func BenchmarkSet(b *testing.B) {
	ids := make([]blob.ID, 1<<16)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range ids {
		for j := range ids[i] {
			ids[i][j] = byte(rng.Uint32())
		}
	}
	var p Set
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			id := ids[i%len(ids)]
			if p.Claim(id) {
				continue
			}
			if i&3 == 0 {
				p.Drop(id)
			}
		}
	})
}
