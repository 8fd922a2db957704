package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
)

// FuzzDecodeNode: whatever decodes encodes to the same bytes, unless it holds
// fields that only newer programs know.
func FuzzDecodeNode(f *testing.F) {
	n := entry("seed", 10)
	n.Xattrs = []Xattr{{Name: []byte("user.a"), Value: []byte("v")}, {Name: []byte("user.b"), Spilled: Content{Extents: []Extent{{dataID(1), 4}}}}}
	n.Flags, n.LinkGroup, n.Device = Changed, 9, 3
	for _, n := range []*Node{n, {Type: Dir}, {Name: []byte("l"), Type: Symlink, LinkTarget: []byte("t")}} {
		b, err := AppendNode(nil, n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := DecodeNode(b, nil)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnknownField) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := AppendNode(nil, &n)
		if err != nil {
			t.Fatalf("decoded, but does not encode: %v", err)
		}
		if !bytes.Equal(again, b) && !hasUnknown(b) {
			t.Fatalf("not canonical:\n%x\n%x", b, again)
		}
	})
}

func hasUnknown(b []byte) bool {
	for s := (scanner{b: b}); s.more(); s.prefixed() {
		if s.uvarint()>>1 > tagContent>>1 {
			return true
		}
	}
	return false
}

// one serves the same bytes for every id.
type one []byte

func (o one) Load(context.Context, ID, []byte) ([]byte, error) { return bytes.Clone(o), nil }

// FuzzBlob reads arbitrary bytes as a directory, as a list, as a root and as an
// attribute: an end or a typed error, never a panic or an endless loop.
func FuzzBlob(f *testing.F) {
	m := newMemory()
	writeDir(f, m, []*Node{entry("a", 1), entry("b", 2)})
	if _, err := SaveRoot(f.Context(), m, &Node{Type: Dir}); err != nil {
		f.Fatal(err)
	}
	if _, err := spillAll(f.Context(), m, Content{Extents: []Extent{{dataID(1), 2}}}); err != nil {
		f.Fatal(err)
	}
	for _, b := range m.blobs {
		f.Add(b, uint64(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, length uint64) {
		ctx := t.Context()
		e := []Extent{{dataID(1), length}}
		for depth := range uint8(3) {
			c := Content{Depth: depth, Extents: e}
			r, x := NewReader(one(b), c), NewExtents(one(b), c)
			drain(t, func() error { _, err := r.Next(ctx); return err })
			drain(t, func() error { _, err := x.Next(ctx); return err })
			_, err := Lookup(ctx, one(b), c, []byte("a"))
			typed(t, err)
			_, err = Xattr{Spilled: c}.Load(ctx, one(b))
			typed(t, err)
		}
		_, err := LoadRoot(ctx, one(b), dataID(1))
		typed(t, err)
	})
}

func typed(t *testing.T, err error) {
	t.Helper()
	var blob *BlobError
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.As(err, &blob) {
		t.Fatalf("untyped error %v", err)
	}
}

func drain(t *testing.T, next func() error) {
	t.Helper()
	for range 1 << 20 {
		err := next()
		if err == io.EOF { //nolint:errorlint // the end, exactly
			return
		}
		typed(t, err)
	}
	t.Fatal("no end")
}

// FuzzDirectory writes entries made of the input and reads them back.
func FuzzDirectory(f *testing.F) {
	f.Add([]byte("name"), []byte("attribute"), uint16(3))
	f.Add([]byte{0xff}, bytes.Repeat([]byte{1}, 5000), uint16(99))
	f.Fuzz(func(t *testing.T, name, value []byte, count uint16) {
		m := newMemory()
		w := NewWriter(m)
		want := 0
		for i := range count % 100 {
			n := &Node{Name: fmt.Appendf(bytes.Clone(name), "%05d", i), Type: Dir, Xattrs: []Xattr{{Name: []byte("user.v"), Value: value}}}
			err := w.Add(t.Context(), n)
			if validName(n.Name) != "" {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("%q: %v", n.Name, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want++
		}
		c, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := readDir(t, m, c)
		if len(got) != want {
			t.Fatalf("%d entries, want %d", len(got), want)
		}
		for _, n := range got {
			if v, err := n.Xattrs[0].Load(t.Context(), m); err != nil || !bytes.Equal(v, value) {
				t.Fatalf("attribute of %d bytes, want %d: %v", len(v), len(value), err)
			}
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	nodes := make([]*Node, 10000)
	for i := range nodes {
		nodes[i] = entry(fmt.Sprintf("file-%06d.go", i), uint64(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		writeDir(b, newMemory(), nodes)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(nodes)), "ns/entry")
}

func BenchmarkRead(b *testing.B) {
	nodes := make([]*Node, 10000)
	for i := range nodes {
		nodes[i] = entry(fmt.Sprintf("file-%06d.go", i), uint64(i))
	}
	m := newMemory()
	c := writeDir(b, m, nodes)
	b.ReportAllocs()
	for b.Loop() {
		for r := NewReader(m, c); ; {
			if _, err := r.Next(b.Context()); err != nil {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(nodes)), "ns/entry")
}
