package parity

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"mahavishnu/repository/blob"
)

// Whatever the bytes, they are read or refused, and what is read can be used
// without reaching outside it. Checksums are made right too, so that what is behind
// them is met.
func FuzzParse(f *testing.F) {
	id, packed := packOf(1, 9000)
	f.Add(encode(f, Standard(), id, packed))
	f.Add(encode(f, Scheme{Data: 2, Shards: 1}, id, packed)[:300])
	f.Add([]byte(packMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, summed(data, objectHead)} {
			_ = Scrub(data)
			o, err := Parse(id, data)
			if o == nil {
				if err == nil {
					t.Fatal("neither an object nor an error")
				}
				continue
			}
			if o.Shape.Padded() > 4<<20 {
				continue
			}
			buf := make([]byte, o.Shape.Padded())
			copy(buf, packed)
			_, _ = new(Codec).Mend(o, buf)
		}
	})
}

func FuzzStripe(f *testing.F) {
	id, data := stripeOf(somePacks(3)[:2])
	f.Add(data)
	f.Add(data[:200])
	f.Add([]byte(stripeMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, summed(data, stripeHead)} {
			h, _, err := ParseHead(id, data)
			last, _ := ParseTail(id, data)
			for _, h := range []*Head{h, last} {
				if h == nil {
					continue
				}
				body, whole := h.Body(data)
				if whole && len(body) != h.Length {
					t.Fatalf("%d bytes of body, want %d", len(body), h.Length)
				}
				_, _ = h.Find(blob.PackID{})
			}
			if h == nil && err == nil {
				t.Fatal("neither a head nor an error")
			}
		}
	})
}

func FuzzStripeID(f *testing.F) {
	f.Add("00112233445566778899aabbccddeeff")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseStripeID(s); err == nil && id.String() != s {
			t.Fatalf("%q reads as %v", s, id)
		}
	})
}

// summed returns data with the checksum of its first head made right.
func summed(data []byte, size func([]byte) int64) []byte {
	data = bytes.Clone(data)
	if len(data) < headerSize+sumSize {
		return data
	}
	n := size(data)
	if n < headerSize+sumSize || n > int64(len(data)) {
		return slices.Clone(data)
	}
	binary.LittleEndian.PutUint64(data[n-sumSize:], xxhash.Sum64(data[:n-sumSize]))
	return data
}
