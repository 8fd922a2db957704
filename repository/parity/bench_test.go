package parity

import "testing"

// BenchmarkEncode is what a session pays for a full pack's own parity.
func BenchmarkEncode(b *testing.B) {
	s := Standard()
	id, packed := packOf(1, 16<<20)
	buf := make([]byte, s.EncodeSpace(16<<20))
	codec := new(Codec)
	b.SetBytes(16 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Encode(buf, s, id, packed); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStripe is what it pays for the pack's place in a stripe, with a
// thirty-second of finishing one.
func BenchmarkStripe(b *testing.B) {
	id, packed := packOf(1, 16<<20)
	x := NewBuilder(make([]byte, BuilderSpace(32, 16<<20)), 32, 16<<20)
	b.SetBytes(16 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if x.Add(id, packed); x.Len() == 32 {
			x.Finish()
			x.Reset()
		}
	}
}

// BenchmarkMend makes a pack whole of which a megabyte was zeroed.
func BenchmarkMend(b *testing.B) {
	id, packed := packOf(1, 16<<20)
	o, err := Parse(id, encode(b, Standard(), id, packed))
	if err != nil {
		b.Fatal(err)
	}
	codec := new(Codec)
	b.SetBytes(16 << 20)
	for b.Loop() {
		clear(packed[3<<20+100:][:1<<20])
		if n, err := codec.Mend(o, packed); n != 5 || err != nil {
			b.Fatal(n, err)
		}
	}
}
