package chunker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var secret = []byte("a secret of 32 bytes for testing")

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func newChunker(t testing.TB, p Params) *Chunker {
	t.Helper()
	c, err := New(secret, p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// cuts returns the lengths of all chunks, giving data to the scanner in steps
// as step says.
func cuts(c *Chunker, data []byte, step func() int) []int {
	var lengths []int
	s := c.Scanner()
	start, end := 0, 0
	for {
		if n, ok := s.Next(data[start:end]); ok {
			lengths = append(lengths, n)
			start += n
			continue
		}
		if end == len(data) {
			if start < end {
				lengths = append(lengths, end-start)
			}
			return lengths
		}
		end = min(len(data), end+step())
	}
}

func whole(c *Chunker, data []byte) []int { return cuts(c, data, func() int { return len(data) }) }

// plain is the specification: one byte at a time, no state kept.
func plain(c *Chunker, data []byte) []int {
	var lengths []int
	for len(data) > 0 {
		n := c.params.Min
		for ; n < min(len(data), c.params.Max); n++ {
			var h uint64
			for _, b := range data[n-window : n] {
				h = h<<1 + c.table[b]
			}
			if n <= c.params.Avg && h < c.early || n > c.params.Avg && h < c.late {
				break
			}
		}
		n = min(n, len(data), c.params.Max)
		lengths = append(lengths, n)
		data = data[n:]
	}
	return lengths
}

func TestCutsAreThoseOfTheSpecification(t *testing.T) {
	for _, p := range []Params{{64, 65, 66}, {64, 256, 1024}, {100, 301, 999}, {512, 2048, 8192}} {
		c := newChunker(t, p)
		for size := range 300 {
			data := random(byte(size), size*7)
			if got, want := whole(c, data), plain(c, data); !slices.Equal(got, want) {
				t.Fatalf("%+v, %d bytes: cuts %v, want %v", p, len(data), got, want)
			}
		}
	}
}

func TestCutsDoNotDependOnReads(t *testing.T) {
	c := newChunker(t, Params{Min: 128, Avg: 512, Max: 2048})
	rapid.Check(t, func(rt *rapid.T) {
		data := random(rapid.Byte().Draw(rt, "seed"), rapid.IntRange(0, 20000).Draw(rt, "size"))
		want := whole(c, data)
		got := cuts(c, data, func() int { return rapid.IntRange(1, 3000).Draw(rt, "read") })
		if !slices.Equal(got, want) {
			rt.Fatalf("cuts %v, want %v", got, want)
		}
		if got := cuts(c, data, func() int { return 1 }); !slices.Equal(got, want) {
			rt.Fatalf("byte by byte: cuts %v, want %v", got, want)
		}
	})
}

func TestSizesKeepTheirLimits(t *testing.T) {
	p := Default()
	c := newChunker(t, p)
	for name, data := range map[string][]byte{
		"random": random(1, 128<<20),
		"zeros":  make([]byte, 32<<20),
		"text":   bytes.Repeat([]byte("all work and no play makes jack a dull boy\n"), 1<<19),
	} {
		lengths := whole(c, data)
		total := 0
		for i, n := range lengths {
			if n > p.Max || n < p.Min && i < len(lengths)-1 {
				t.Errorf("%s: chunk %d of %d bytes", name, i, n)
			}
			total += n
		}
		if total != len(data) {
			t.Errorf("%s: chunks of %d bytes in all, want %d", name, total, len(data))
		}
		if name == "random" {
			mean := float64(total) / float64(len(lengths))
			t.Logf("%d chunks, mean %.0f KiB", len(lengths), mean/1024)
			if math.Abs(mean-float64(p.Avg)) > 0.25*float64(p.Avg) {
				t.Errorf("mean chunk of %.0f bytes, want about %d", mean, p.Avg)
			}
		}
	}
}

func TestAnInsertionMovesFewCuts(t *testing.T) {
	c := newChunker(t, Params{Min: 1 << 10, Avg: 4 << 10, Max: 16 << 10})
	chunks := func(data []byte) map[[32]byte]bool {
		set := map[[32]byte]bool{}
		for _, n := range whole(c, data) {
			set[sha256.Sum256(data[:n])] = true
			data = data[n:]
		}
		return set
	}
	base := random(3, 1<<20)
	before := chunks(base)
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.IntRange(0, len(base)).Draw(rt, "at")
		data := slices.Concat(base[:at], random(9, rapid.IntRange(1, 100).Draw(rt, "inserted")), base[at:])
		fresh := 0
		for id := range chunks(data) {
			if !before[id] {
				fresh++
			}
		}
		if fresh > 12 {
			rt.Fatalf("%d of about %d chunks are new after one insertion", fresh, len(before))
		}
	})
}

func TestSecretsCutApart(t *testing.T) {
	data := random(5, 8<<20)
	c, err := New([]byte("quite another secret of 32 bytes"), Default())
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(whole(c, data), whole(newChunker(t, Default()), data)) {
		t.Error("two secrets cut alike")
	}
}

// TestFrozen: cuts are part of the format. If they move, nothing deduplicates
// against what older versions stored.
func TestFrozen(t *testing.T) {
	const want = "bb2b3bc735048505"
	sum := sha256.Sum256(fmt.Append(nil, whole(newChunker(t, Default()), random(7, 64<<20))))
	if got := hex.EncodeToString(sum[:8]); got != want {
		t.Errorf("cuts have digest %s, want %s", got, want)
	}
}

func TestParamsAreChecked(t *testing.T) {
	for _, p := range []Params{{}, {63, 100, 200}, {100, 100, 200}, {100, 200, 200}, {100, 200, 8<<20 + 1}} {
		if _, err := New(secret, p); err == nil {
			t.Errorf("%+v accepted", p)
		}
	}
	if _, err := New(nil, Default()); err == nil {
		t.Error("an empty secret accepted")
	}
}

func FuzzCuts(f *testing.F) {
	f.Add([]byte("seed"), uint16(3))
	f.Add(random(1, 4096), uint16(100))
	c := newChunker(f, Params{Min: 64, Avg: 128, Max: 512})
	f.Fuzz(func(t *testing.T, data []byte, read uint16) {
		want := plain(c, data)
		if got := cuts(c, data, func() int { return int(read) + 1 }); !slices.Equal(got, want) {
			t.Fatalf("cuts %v, want %v", got, want)
		}
	})
}

// benchSizes are the default and what it was chosen from.
var benchSizes = map[string]Params{
	"min256K": {Min: 256 << 10, Avg: 1 << 20, Max: 4 << 20},
	"default": Default(),
	"avg896K": {Min: 512 << 10, Avg: 896 << 10, Max: 4 << 20},
}

func BenchmarkScan(b *testing.B) {
	data := random(1, 32<<20)
	for name, p := range benchSizes {
		b.Run(name, func(b *testing.B) {
			c := newChunker(b, p)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				whole(c, data)
			}
		})
	}
}

// BenchmarkShare tells what part of changed data is stored again: with an
// insertion, a deletion or an overwritten place every 8 MiB on average.
func BenchmarkShare(b *testing.B) {
	base := random(1, 256<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	var changed []byte
	for rest := base; len(rest) > 0; {
		n := min(len(rest), 4<<20+rng.IntN(8<<20))
		changed = append(changed, rest[:n]...)
		rest = rest[n:]
		few := 1 + rng.IntN(200)
		switch rng.IntN(3) {
		case 0:
			changed = append(changed, random(byte(rng.Uint32()), few)...)
		case 1:
			rest = rest[min(few, len(rest)):]
		case 2:
			few = min(few, len(rest))
			changed = append(changed, random(byte(rng.Uint32()), few)...)
			rest = rest[few:]
		}
	}
	for name, p := range benchSizes {
		b.Run(name, func(b *testing.B) {
			c := newChunker(b, p)
			before := map[[32]byte]bool{}
			each := func(data []byte, fn func(id [32]byte, n int)) {
				for _, n := range whole(c, data) {
					fn(sha256.Sum256(data[:n]), n)
					data = data[n:]
				}
			}
			again, chunks := 0, 0
			for b.Loop() {
				again, chunks = 0, 0
				each(base, func(id [32]byte, _ int) { before[id] = true; chunks++ })
				each(changed, func(id [32]byte, n int) {
					if !before[id] {
						again += n
					}
				})
			}
			b.ReportMetric(float64(len(base)>>10)/float64(chunks), "KiB/chunk")
			b.ReportMetric(100*float64(again)/float64(len(changed)), "%again")
		})
	}
}
