package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
)

// TestFrozen: the bytes of nodes and the limits of blobs are the format. If one
// changes, unchanged directories are stored again, or old ones not read.
func TestFrozen(t *testing.T) {
	m := newMemory()
	n := entry("every field", 10)
	n.Content = Content{Extents: []Extent{{dataID(10), 7}, {ID{}, 3}}}
	n.Device, n.LinkGroup, n.Flags, n.Links = 5, 9, Changed|Incomplete, 2
	n.Xattrs = []Xattr{{Name: []byte("user.long"), Value: make([]byte, 3000)}, {Name: []byte("user.a"), Value: []byte("v")}}
	b, err := encodeSpilled(t.Context(), m, nil, n)
	if err != nil {
		t.Fatal(err)
	}
	const node = "030b6576657279206669656c640501010702a4030902e8070b02e8070c03616e6e0e057374616666110680c49fd50c05120682c49fd50c0615010a16014d1801051a01021d0109" +
		"233906757365722e6100017609757365722e6c6f6e67012300f02e266dfbe57d279590bc1432831a4e0881a1861a0be2de751d096b37b89a190c49" +
		"2401032723000ea111f275cc2e7588000001d300a31e76336d15b9d314cd1a1d8f3d3556975eed07"
	if got := hex.EncodeToString(b); got != node {
		t.Errorf("a node is encoded as\n%s, want\n%s", got, node)
	}

	var nodes []*Node
	for i := range 20000 {
		nodes = append(nodes, entry(fmt.Sprintf("file-%06d", i), uint64(i)))
	}
	var extents []Extent
	for i := range 50000 {
		extents = append(extents, Extent{dataID(uint64(i)), uint64(i + 1)})
	}
	root := &Node{Type: Dir, Mode: 0o755, Content: writeDir(t, m, nodes)}
	id, err := SaveRoot(t.Context(), m, root)
	if err != nil {
		t.Fatal(err)
	}
	list := writeExtents(t, m, extents)
	ids := []string{id.String()}
	for _, e := range slices.Concat(root.Content.Extents, list.Extents) {
		ids = append(ids, e.ID.String())
	}
	sum := sha256.Sum256(fmt.Append(nil, ids))
	const blobs = "7198f455cf35ae53"
	if got := hex.EncodeToString(sum[:8]); got != blobs {
		t.Errorf("blobs have digest %s, want %s", got, blobs)
	}
}
