package dispersed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testHead(name string, k, m int, data []byte) head {
	return head{
		version: version{7, content(data)}, data: uint8(k), parity: uint8(m), size: int64(len(data)),
		name: hashName(name), time: 1700000000000000000, sum: 99,
	}
}

func noise(n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
	_, _ = r.Read(data)
	return data
}

func TestHeadRoundTrip(t *testing.T) {
	for _, want := range []head{
		testHead("a", 4, 2, noise(100000)),
		{version: version{1 << 60, generation{1, 2, 3}}, data: 2, parity: 1, index: 2, flags: flagGone, name: hashName("b")},
		{version: version{1, generation{255}}, data: 20, parity: 12, index: 31, flags: flagConditional, size: maxSize},
	} {
		buf := make([]byte, headLen)
		want.put(buf)
		got, err := parseHead(buf)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *got, cmp.AllowUnexported(head{}, version{})); diff != "" {
			t.Errorf("head (-want +got):\n%s", diff)
		}
	}
}

// Every single flipped bit of a head is noticed.
func TestFlippedBitsInHeads(t *testing.T) {
	h := testHead("a", 4, 2, noise(1000))
	buf := make([]byte, headLen)
	h.put(buf)
	for bit := range 8 * headLen {
		buf[bit/8] ^= 1 << (bit % 8)
		if _, err := parseHead(buf); !errors.Is(err, errDamaged) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
		buf[bit/8] ^= 1 << (bit % 8)
	}
}

// A listing knows the size of every object from the lengths of any two shards, and
// no shard is as long as a tombstone.
func TestSizesFromLengths(t *testing.T) {
	for _, shape := range []struct{ k, m int }{{2, 1}, {3, 2}, {4, 2}, {10, 4}} {
		sizes := []int64{0}
		row := int64(shape.k) * cellLen
		for _, around := range []int64{1, cellLen, row, 2 * row, 17 * row, 18 << 20} {
			for d := int64(-40); d <= 40; d++ {
				sizes = append(sizes, max(0, around+d))
			}
		}
		for _, size := range sizes {
			s := newShape(shape.k, size)
			n := shape.k + shape.m
			for i := range n {
				if isGone(s.shardLen(i)) {
					t.Fatalf("%+v: shard %d of %d bytes is as long as a tombstone", shape, i, size)
				}
				for j := range n {
					got, ok := sizeOf(shape.k, i, s.shardLen(i), j, s.shardLen(j))
					if i == j {
						continue
					}
					if !ok || got != size {
						t.Fatalf("%+v: shards %d and %d of %d bytes tell %d, %v", shape, i, j, size, got, ok)
					}
				}
			}
		}
	}
}

// Any k shards make the object.
func TestAnyShardsAreEnough(t *testing.T) {
	const k, m = 4, 2
	c, err := newCodec(k, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 2, 7, 100, cellLen - 1, k * cellLen, k*cellLen + 1, 5*k*cellLen + 12345} {
		data := noise(size)
		h := testHead("a", k, m, data)
		s, err := c.encode(h, data)
		if err != nil {
			t.Fatal(err)
		}
		for a := range k + m {
			for b := range a {
				p := newPart(&h, k+m, 0, int64(size))
				at, length := p.bounds()
				for i := range k + m {
					if i == a || i == b {
						continue
					}
					if !p.add(newSummer(h.version, h.name, uint8(i)), i, s.all[i][at:at+length]) {
						t.Fatalf("size %d: cells of shard %d do not pass", size, i)
					}
				}
				h.sum = 0
				be := &Backend{codec: c, k: k, n: k + m}
				got, err := be.assemble("get", &object{name: "a", head: head{size: -1, version: h.version}}, p, 0, int64(size))
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("size %d without shards %d and %d: %v, %d bytes", size, a, b, err, len(got))
				}
			}
		}
		s.drop()
	}
}

// A cell passes only as what it is: of that put, that shard and that row.
func TestCellsAreTied(t *testing.T) {
	v, name := version{3, generation{1}}, hashName("a")
	cell := append(noise(1000), make([]byte, sumLen)...)
	sum := newSummer(v, name, 1)
	for i := range sumLen {
		cell[1000+i] = byte(sum.sum(5, cell[:1000]) >> (8 * i))
	}
	if !sum.check(5, cell) {
		t.Fatal("a good cell does not pass")
	}
	for what, other := range map[string]struct {
		summer
		row int64
	}{
		"another row":   {sum, 6},
		"another shard": {newSummer(v, name, 2), 5},
		"another name":  {newSummer(v, hashName("b"), 1), 5},
		"another seq":   {newSummer(version{4, v.gen}, name, 1), 5},
		"another put":   {newSummer(version{3, generation{2}}, name, 1), 5},
	} {
		if other.check(other.row, cell) {
			t.Errorf("a cell passes as one of %s", what)
		}
	}
}

// What is stored never changes: shards of format 1 are these bytes for ever.
func TestFormat1(t *testing.T) {
	data := make([]byte, 3*4*cellLen+777)
	for i := range data {
		data[i] = byte(i ^ i>>7 ^ i>>13)
	}
	c, err := newCodec(4, 2)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.encode(head{
		version: version{0x0102030405060708, generation{1, 2, 3, 15: 9}}, data: 4, parity: 2, flags: flagConditional,
		size: int64(len(data)), name: hashName("packs/00/golden"), time: 1700000000000000001, sum: 0x1122334455667788,
	}, data)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, shard := range s.all {
		sum := sha256.Sum256(shard)
		got = append(got, hex.EncodeToString(sum[:8]))
	}
	want := []string{"a34d6d684480543a", "d5839c5379394dbf", "02d1d154f8cb51b2", "c943798bb5656b92", "d3f632ffce02e47f", "3142373fbd2d17b4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shards (-want +got):\n%s", diff)
	}
}

func TestRecordNames(t *testing.T) {
	v, w := version{5, generation{1, 2}}, version{6, generation{3}}
	x := ballot{9, w}
	for base, want := range map[string]record{
		promisePrefix + x.String():                   {kind: promisePrefix, ballot: x, ordered: true},
		acceptPrefix + x.String() + "-" + v.String(): {kind: acceptPrefix, ballot: x, value: v, ordered: true},
		stagedPrefix + v.String():                    {kind: stagedPrefix, value: v},
	} {
		got, ok := parseRecord(base)
		if !ok || got != want {
			t.Errorf("parseRecord(%q) = %+v, %v", base, got, ok)
		}
		for i := range base {
			if cut, ok := parseRecord(base[:i]); ok {
				t.Errorf("parseRecord(%q) = %+v", base[:i], cut)
			}
		}
	}
}

// FuzzShard feeds what a storage may return for a shard to everything that reads one:
// it is taken for what it is, or refused.
func FuzzShard(f *testing.F) {
	c, err := newCodec(2, 1)
	if err != nil {
		f.Fatal(err)
	}
	for _, size := range []int{0, 1, 1000, 3 * cellLen} {
		data := noise(size)
		s, err := c.encode(testHead("a", 2, 1, data), data)
		if err != nil {
			f.Fatal(err)
		}
		for i := range s.all {
			f.Add(s.all[i])
		}
	}
	f.Add((&head{version: version{1, generation{}}, data: 2, parity: 1, flags: flagGone}).tombstone())
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := parseHead(in)
		if err != nil {
			if !errors.Is(err, errDamaged) && !errors.Is(err, errFormat) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		again := make([]byte, headLen)
		h.put(again)
		if _, err := parseHead(again); err != nil {
			t.Fatalf("a head that was read cannot be written: %v", err)
		}
		if h.gone() || h.size == 0 || h.size > 1<<24 {
			return
		}
		p := newPart(h, int(h.data+h.parity), 0, h.size)
		at, length := p.bounds()
		if at+length > int64(len(in)) {
			return
		}
		p.add(newSummer(h.version, h.name, h.index), int(h.index), in[at:at+length])
	})
}

// FuzzRecord reads names of the area.
func FuzzRecord(f *testing.F) {
	v := version{5, generation{1, 2}}
	f.Add(promisePrefix + ballot{9, v}.String())
	f.Add(acceptPrefix + ballot{9, v}.String() + "-" + v.String())
	f.Add(stagedPrefix + v.String())
	f.Fuzz(func(t *testing.T, base string) {
		r, ok := parseRecord(base)
		if !ok {
			return
		}
		spelled := map[string]string{
			promisePrefix: promisePrefix + r.ballot.String(),
			acceptPrefix:  acceptPrefix + r.ballot.String() + "-" + r.value.String(),
			stagedPrefix:  stagedPrefix + r.value.String(),
		}[r.kind]
		if spelled != base {
			t.Fatalf("%q was read as %q", base, spelled)
		}
	})
}
