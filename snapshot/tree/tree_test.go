package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// memory is a store of blobs that remembers how many were new.
type memory struct {
	blobs map[ID][]byte
	saved int
	fail  error
}

func newMemory() *memory { return &memory{blobs: map[ID][]byte{}} }

func (m *memory) Save(_ context.Context, data []byte) (ID, error) {
	if m.fail != nil {
		return ID{}, m.fail
	}
	id := ID(sha256.Sum256(data))
	if _, ok := m.blobs[id]; !ok {
		m.blobs[id] = bytes.Clone(data)
		m.saved++
	}
	return id, nil
}

func (m *memory) Load(_ context.Context, id ID, buf []byte) ([]byte, error) {
	b, ok := m.blobs[id]
	if !ok {
		return nil, errors.New("no such blob")
	}
	return append(buf[:0], b...), nil
}

func dataID(n uint64) ID {
	return ID(sha256.Sum256(binary.LittleEndian.AppendUint64(nil, n)))
}

func entry(name string, size uint64) *Node {
	n := &Node{
		Name: []byte(name), Type: File, Mode: 0o644, UID: 1000, GID: 1000, User: "ann", Group: "staff",
		ModTime: Time{1700000000, 5}, ChangeTime: Time{1700000001, 6}, Size: size, Inode: 77, Links: 1,
	}
	if size > 0 {
		n.Content = Content{Extents: []Extent{{ID: dataID(size), Length: size}}}
	}
	return n
}

func writeDir(t testing.TB, m *memory, nodes []*Node) Content {
	t.Helper()
	w := NewWriter(m)
	for _, n := range nodes {
		if err := w.Add(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if w.Entries() != uint64(len(nodes)) {
		t.Fatalf("Entries() = %d after %d", w.Entries(), len(nodes))
	}
	c, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.Length() != uint64(len(nodes)) {
		t.Fatalf("content of %d entries, want %d", c.Length(), len(nodes))
	}
	return c
}

func readDir(t testing.TB, m Loader, c Content) []*Node {
	t.Helper()
	var nodes []*Node
	for r := NewReader(m, c); ; {
		n, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return nodes
		}
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, &n)
	}
}

func TestNodeKeepsEveryField(t *testing.T) {
	id := dataID(1)
	for _, n := range []Node{
		{Type: Dir, Mode: 0o1777},
		*entry("plain", 12),
		{
			Name: []byte("\xff\x01 bytes\n"), Type: File, Mode: 0o6755, UID: math.MaxUint32, GID: math.MaxUint32 - 1,
			ModTime: Time{-62135596800, 999999999}, ChangeTime: Time{15032385535, 1}, Size: 30, Inode: math.MaxUint64,
			Device: math.MaxUint64, Links: math.MaxUint64, LinkGroup: math.MaxUint64, Flags: Changed | Incomplete,
			Xattrs: []Xattr{
				{Name: []byte("user.empty")},
				{Name: []byte("user.x"), Value: []byte{0, 1}},
				{Name: []byte("user.y"), Spilled: Content{Extents: []Extent{{id, 5}}}},
			},
			Content: Content{Extents: []Extent{{id, 10}, {ID{}, 15}, {id, 5}}},
		},
		{Name: []byte("huge"), Type: File, Size: math.MaxInt64, Content: Content{Depth: 2, Extents: []Extent{{id, math.MaxInt64}}}},
		{Name: []byte("l"), Type: Symlink, LinkTarget: []byte("../\xfe")},
		{Name: []byte("d"), Type: BlockDev, Rdev: 0x801, ModTime: Time{0, 1}},
		{Name: []byte("f"), Type: FIFO},
		{Name: []byte("s"), Type: Socket},
		{Name: []byte("c"), Type: CharDev},
	} {
		b, err := AppendNode(nil, &n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeNode(b, nil)
		if err != nil {
			t.Fatalf("%q: %v", n.Name, err)
		}
		if diff := cmp.Diff(n, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", n.Name, diff)
		}
	}
}

func TestEncoderRefuses(t *testing.T) {
	id := dataID(1)
	for name, n := range map[string]Node{
		"no type":             {Name: []byte("x")},
		"slash":               {Name: []byte("a/b"), Type: Dir},
		"parent":              {Name: []byte(".."), Type: Dir},
		"zero byte":           {Name: []byte("a\x00"), Type: Dir},
		"mode with type bits": {Name: []byte("x"), Type: Dir, Mode: 0o40755},
		"size without data":   {Name: []byte("x"), Type: File, Size: 1},
		"data without size":   {Name: []byte("x"), Type: File, Content: Content{Extents: []Extent{{id, 1}}}},
		"dir with a size":     {Name: []byte("x"), Type: Dir, Size: 4096},
		"fifo with content":   {Name: []byte("x"), Type: FIFO, Content: Content{Extents: []Extent{{id, 1}}}},
		"hole in a dir":       {Name: []byte("x"), Type: Dir, Content: Content{Extents: []Extent{{ID{}, 1}}}},
		"hole above depth 0":  {Name: []byte("x"), Type: File, Size: 1, Content: Content{Depth: 1, Extents: []Extent{{ID{}, 1}}}},
		"empty extent":        {Name: []byte("x"), Type: File, Content: Content{Extents: []Extent{{id, 0}}}},
		"sum overflows":       {Name: []byte("x"), Type: File, Size: 1, Content: Content{Extents: []Extent{{id, math.MaxInt64}, {id, math.MaxInt64}, {id, 3}}}},
		"too deep":            {Name: []byte("x"), Type: Dir, Content: Content{Depth: MaxDepth + 1, Extents: []Extent{{id, 1}}}},
		"nanoseconds":         {Name: []byte("x"), Type: Dir, ModTime: Time{1, 1e9}},
		"target of a file":    {Name: []byte("x"), Type: File, LinkTarget: []byte("y")},
		"attributes twice":    {Name: []byte("x"), Type: Dir, Xattrs: []Xattr{{Name: []byte("a")}, {Name: []byte("a")}}},
		"attribute unnamed":   {Name: []byte("x"), Type: Dir, Xattrs: []Xattr{{Value: []byte("a")}}},
	} {
		if _, err := AppendNode(nil, &n); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	field := func(tag uint64, v ...byte) []byte {
		b := binary.AppendUvarint(nil, tag)
		return append(binary.AppendUvarint(b, uint64(len(v))), v...)
	}
	base := slices.Concat(field(tagName, 'x'), field(tagType, byte(Dir)))
	if _, err := DecodeNode(base, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeNode(slices.Concat(base, field(40<<1, 1, 2, 3)), nil); err != nil {
		t.Errorf("an unknown field that may be ignored: %v", err)
	}
	if _, err := DecodeNode(slices.Concat(base, field(40<<1|1, 1)), nil); !errors.Is(err, ErrUnknownField) {
		t.Errorf("an unknown critical field: %v, want ErrUnknownField", err)
	}
	for name, b := range map[string][]byte{
		"empty":            nil,
		"field twice":      slices.Concat(base, field(tagType, byte(Dir))),
		"out of order":     slices.Concat(field(tagType, byte(Dir)), field(tagName, 'x')),
		"empty field":      slices.Concat(base, field(tagMode)),
		"zero number":      slices.Concat(base, field(tagMode, 0)),
		"long number":      slices.Concat(base, field(tagMode, 0x81, 0x00)),
		"trailing bytes":   slices.Concat(base, field(tagMode, 1, 1)),
		"cut":              base[:len(base)-1],
		"long length":      slices.Concat(base, []byte{tagMode, 0x81, 0x00, 1}),
		"content no depth": slices.Concat(base, field(tagContent, 0)),
	} {
		if _, err := DecodeNode(b, nil); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
}

func TestWriterRefusesDisorder(t *testing.T) {
	for _, names := range [][]string{{"b", "a"}, {"a", "a"}} {
		w := NewWriter(newMemory())
		if err := w.Add(t.Context(), entry(names[0], 0)); err != nil {
			t.Fatal(err)
		}
		if err := w.Add(t.Context(), entry(names[1], 0)); !errors.Is(err, ErrOrder) {
			t.Errorf("%q: error %v, want ErrOrder", names, err)
		}
	}
}

func TestLongAttributesSpill(t *testing.T) {
	m := newMemory()
	n := entry("x", 0)
	long := bytes.Repeat([]byte("acl"), 800_000)
	n.Xattrs = []Xattr{{Name: []byte("user.z"), Value: long}, {Name: []byte("user.a"), Value: []byte("short")}}
	for i := range 40 {
		n.Xattrs = append(n.Xattrs, Xattr{Name: fmt.Appendf(nil, "user.m%02d", i), Value: bytes.Repeat([]byte{byte(i)}, 1000)})
	}
	want := map[string][]byte{}
	for _, x := range n.Xattrs {
		want[string(x.Name)] = x.Value
	}
	got := readDir(t, m, writeDir(t, m, []*Node{n}))[0]
	have := map[string][]byte{}
	inline := 0
	for _, x := range got.Xattrs {
		v, err := x.Load(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		have[string(x.Name)] = v
		inline += len(x.Value)
	}
	if !maps.EqualFunc(want, have, bytes.Equal) {
		t.Errorf("%d attributes come back as %d others", len(want), len(have))
	}
	if inline > inlineValues {
		t.Errorf("%d bytes of values inline, want at most %d", inline, inlineValues)
	}
}

func TestRoot(t *testing.T) {
	m := newMemory()
	root := &Node{Type: Dir, Mode: 0o755, ModTime: Time{1, 2}, Content: writeDir(t, m, []*Node{entry("a", 1)})}
	id, err := SaveRoot(t.Context(), m, root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := LoadRoot(t.Context(), m, id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*root, got); diff != "" {
		t.Errorf("root (-want +got):\n%s", diff)
	}
	if _, err := SaveRoot(t.Context(), m, entry("named", 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a named root: %v", err)
	}
	if _, err := LoadRoot(t.Context(), m, got.Content.Extents[0].ID); !errors.Is(err, ErrMalformed) {
		t.Errorf("a directory's blob as a root: %v", err)
	}
}

func TestErrorsOfTheStoreAreReturned(t *testing.T) {
	full := errors.New("disk full")
	w := NewWriter(&memory{fail: full})
	err := w.Add(t.Context(), entry("a", 0))
	if err == nil {
		_, err = w.Finish(t.Context())
	}
	if !errors.Is(err, full) {
		t.Errorf("error %v, want %v", err, full)
	}
}

// eofLoader fails the way a store does whose object is too short.
type eofLoader struct{}

func (eofLoader) Load(context.Context, ID, []byte) ([]byte, error) { return nil, io.EOF }

func TestShortObjectIsNotTheEnd(t *testing.T) {
	c := Content{Extents: []Extent{{dataID(1), 1}}}
	if _, err := NewReader(eofLoader{}, c).Next(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("directory: error %v, want one that is not io.EOF", err)
	}
	c.Depth = 1
	if _, err := NewExtents(eofLoader{}, c).Next(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("extents: error %v, want one that is not io.EOF", err)
	}
}

func TestDamageCostsOneBlob(t *testing.T) {
	m := newMemory()
	var nodes []*Node
	for i := range 20000 {
		nodes = append(nodes, entry(fmt.Sprintf("file-%06d", i), uint64(i)))
	}
	c := writeDir(t, m, nodes)
	if len(c.Extents) < 4 {
		t.Fatalf("%d blobs, want several", len(c.Extents))
	}
	bad := c.Extents[1]
	m.blobs[bad.ID] = m.blobs[bad.ID][:1000]
	var lost uint64
	read := 0
	for r := NewReader(m, c); ; {
		_, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		var damaged *BlobError
		switch {
		case errors.As(err, &damaged):
			if damaged.ID != bad.ID {
				t.Errorf("blob %s named, want %s", damaged.ID, bad.ID)
			}
			lost += damaged.Lost
		case err != nil:
			t.Fatal(err)
		default:
			read++
		}
	}
	if read+int(lost) != len(nodes) || lost == 0 {
		t.Errorf("read %d, lost %d, of %d", read, lost, len(nodes))
	}
}

func TestLookup(t *testing.T) {
	m := newMemory()
	var nodes []*Node
	for i := range 30000 {
		nodes = append(nodes, entry(fmt.Sprintf("f%06d", 2*i), uint64(i)))
	}
	c := writeDir(t, m, nodes)
	deep, err := spillAll(t.Context(), m, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Content{c, deep} {
		for i := 0; i < len(nodes); i += 777 {
			n, err := Lookup(t.Context(), m, c, nodes[i].Name)
			if err != nil || n.Size != uint64(i) {
				t.Fatalf("%s: size %d, error %v", nodes[i].Name, n.Size, err)
			}
			if _, err := Lookup(t.Context(), m, c, fmt.Appendf(nil, "f%06d", 2*i+1)); !errors.Is(err, ErrNotFound) {
				t.Fatalf("absent name: %v", err)
			}
		}
		for _, name := range []string{"", "a", "z"} {
			if _, err := Lookup(t.Context(), m, c, []byte(name)); !errors.Is(err, ErrNotFound) {
				t.Errorf("%q: %v, want ErrNotFound", name, err)
			}
		}
	}
	if _, err := Lookup(t.Context(), m, Content{}, []byte("a")); !errors.Is(err, ErrNotFound) {
		t.Errorf("empty directory: %v", err)
	}
}

// spillAll moves every extent of c into a list of its own.
func spillAll(ctx context.Context, m *memory, c Content) (Content, error) {
	out := Content{Depth: c.Depth + 1}
	for _, e := range c.Extents {
		id, err := m.Save(ctx, appendExtent([]byte{blobExtents, blobVersion}, e))
		if err != nil {
			return Content{}, err
		}
		out.Extents = append(out.Extents, Extent{id, e.Length})
	}
	return out, nil
}

func genNode(t *rapid.T, name []byte) *Node {
	n := &Node{
		Name: name, Mode: rapid.Uint32Range(0, 0o7777).Draw(t, "mode"), Type: Type(rapid.IntRange(1, 7).Draw(t, "type")),
		UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"), User: rapid.StringN(0, 8, 20).Draw(t, "user"),
		ModTime: Time{rapid.Int64().Draw(t, "sec"), rapid.Uint32Range(0, 1e9-1).Draw(t, "nsec")},
		Inode:   rapid.Uint64().Draw(t, "inode"), Flags: Flags(rapid.Uint32().Draw(t, "flags")),
	}
	switch n.Type {
	case File:
		for range rapid.IntRange(0, 5).Draw(t, "extents") {
			e := Extent{Length: rapid.Uint64Range(1, 1<<40).Draw(t, "length")}
			if rapid.Bool().Draw(t, "data") {
				e.ID = dataID(e.Length)
			}
			n.Content.Extents = append(n.Content.Extents, e)
		}
		n.Size = n.Content.Length()
	case Symlink:
		n.LinkTarget = rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "target")
	case CharDev, BlockDev:
		n.Rdev = rapid.Uint64().Draw(t, "rdev")
	}
	return n
}

func TestDirectoryIdentity(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 30), 0, 60,
			func(b []byte) string { return string(b) }).Draw(rt, "names")
		names = slices.DeleteFunc(names, func(b []byte) bool { return validName(b) != "" })
		slices.SortFunc(names, bytes.Compare)
		var nodes []*Node
		for _, name := range names {
			nodes = append(nodes, genNode(rt, name))
		}
		m := newMemory()
		got := readDir(t, m, writeDir(t, m, nodes))
		if diff := cmp.Diff(nodes, got); diff != "" {
			rt.Fatalf("directory (-want +got):\n%s", diff)
		}
	})
}
