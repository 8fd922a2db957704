package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestOneChangeRewritesFewBlobs changes, adds or removes one entry at a random
// place of a directory of 6,000 and counts the blobs that became new.
func TestOneChangeRewritesFewBlobs(t *testing.T) {
	base := make([]*Node, 0, 6000)
	for i := range cap(base) {
		base = append(base, entry(fmt.Sprintf("name-%x-%d", i*7919%20011, i), uint64(i)))
	}
	slices.SortFunc(base, func(a, b *Node) int { return bytes.Compare(a.Name, b.Name) })
	m := newMemory()
	before := writeDir(t, m, base)
	rapid.Check(t, func(rt *rapid.T) {
		nodes := slices.Clone(base)
		i := rapid.IntRange(0, len(nodes)-1).Draw(rt, "place")
		// A change of metadata rewrites its blob. An entry that comes or goes
		// can join or part two, and rarely move the limit of a few more.
		most := 1
		switch rapid.IntRange(0, 2).Draw(rt, "change") {
		case 0:
			n := *nodes[i]
			n.ModTime.Sec++
			nodes[i] = &n
		case 1:
			nodes = slices.Delete(nodes, i, i+1)
			most = 6
		case 2:
			nodes = slices.Insert(nodes, i, entry(string(nodes[i].Name[:len(nodes[i].Name)-1])+"!", 3))
			most = 6
			if bytes.Compare(nodes[i].Name, nodes[i+1].Name) >= 0 || i > 0 && bytes.Compare(nodes[i-1].Name, nodes[i].Name) >= 0 {
				return
			}
		}
		m.saved = 0
		writeDir(t, m, nodes)
		if m.saved > most {
			rt.Fatalf("%d new blobs of %d, want at most %d", m.saved, len(before.Extents), most)
		}
	})
}

func TestContentIdentityAndSharing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		count := rapid.SampledFrom([]int{0, 1, 63, 64, 65, 255, 257, 5000, 20000}).Draw(rt, "count")
		list := make([]Extent, count)
		for i := range list {
			list[i] = Extent{ID: dataID(uint64(i)), Length: uint64(i + 1)}
			if count > 1 && i%1000 == 7 {
				list[i].ID = ID{}
			}
		}
		m := newMemory()
		c := writeExtents(t, m, list)
		if (c.Depth == 0) != (count <= InlineExtents) {
			rt.Fatalf("depth %d for %d extents", c.Depth, count)
		}
		if got := readExtents(t, m, c); !slices.Equal(got, list) {
			rt.Fatalf("%d extents read back as %d", len(list), len(got))
		}
		if count == 0 {
			return
		}
		m.saved = 0
		list[rapid.IntRange(0, count-1).Draw(rt, "place")].ID = dataID(1 << 40)
		writeExtents(t, m, list)
		if most := 4 * int(max(1, c.Depth)); m.saved > most {
			rt.Fatalf("one changed extent of %d rewrote %d blobs, want at most %d", count, m.saved, most)
		}
	})
}

func TestNeighbouringHolesJoin(t *testing.T) {
	m := newMemory()
	c := writeExtents(t, m, []Extent{{ID{}, 5}, {ID{}, 0}, {ID{}, 7}, {dataID(1), 1}, {ID{}, 1}})
	want := []Extent{{ID{}, 12}, {dataID(1), 1}, {ID{}, 1}}
	if diff := cmp.Diff(want, c.Extents); diff != "" {
		t.Errorf("extents (-want +got):\n%s", diff)
	}
}

func writeExtents(t testing.TB, m *memory, list []Extent) Content {
	t.Helper()
	w := NewContentWriter(m)
	for _, e := range list {
		if err := w.Add(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	c, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readExtents(t testing.TB, m Loader, c Content) []Extent {
	t.Helper()
	var list []Extent
	for x := NewExtents(m, c); ; {
		e, err := x.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
}
