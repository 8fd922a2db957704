package parity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"

	"mahavishnu/repository/blob"
)

// packOf makes bytes that end in their checksum, as packs do.
func packOf(seed uint64, size int) (blob.PackID, []byte) {
	rng := rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), seed)))
	data := make([]byte, size)
	_, _ = rng.Read(data)
	binary.LittleEndian.PutUint64(data[size-8:], xxhash.Sum64(data[:size-8]))
	return blob.PackID(data[:16]), data
}

func encode(t testing.TB, s Scheme, id blob.PackID, packed []byte) []byte {
	t.Helper()
	out, err := new(Codec).Encode(nil, s, id, packed)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != s.ObjectSize(int64(len(packed))) || Scrub(out) != nil {
		t.Fatalf("%d bytes, want %d; %v", len(out), s.ObjectSize(int64(len(packed))), Scrub(out))
	}
	return out
}

var sizes = []int{200, 4095, 4096, 4097, 20_000, 63 * 4096, 64 * 4096, 64*4096 + 1, 300_001, 1 << 20}

func TestShapes(t *testing.T) {
	for _, size := range append(slices.Clone(sizes), 16<<20, 16<<20-7, 256<<20) {
		p := Standard().Shape(int64(size))
		if p.check() != nil || p.Data > 64 || p.Parity > 5 || p.Parity > p.Data || p.Shard%block != 0 && p.Data > 1 {
			t.Errorf("%d bytes: %+v: %v", size, p, p.check())
		}
		if over := p.Parity * p.Shard; over > max(size, 5*block) || size >= 4<<20 && over*12 > size {
			t.Errorf("%d bytes: %d bytes of parity", size, over)
		}
	}
	if p := Standard().Shape(16 << 20); p != (Shape{16 << 20, 256 << 10, 64, 5}) {
		t.Errorf("a full pack is cut into %+v", p)
	}
}

// Any damage to as many shards as there are parity shards is mended, and any
// more is refused.
func TestMend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Scheme{Data: rapid.IntRange(1, 80).Draw(t, "data"), Shards: rapid.IntRange(1, 9).Draw(t, "parity")}
		size := rapid.IntRange(200, 400_000).Draw(t, "size")
		id, packed := packOf(rapid.Uint64().Draw(t, "seed"), size)
		codec := new(Codec)
		object, err := codec.Encode(nil, s, id, packed)
		if err != nil {
			t.Fatal(err)
		}
		p := s.Shape(int64(size))
		shards := rapid.SliceOfNDistinct(rapid.IntRange(0, p.Data+p.Parity-1), 0, min(p.Data+p.Parity, p.Parity+2), rapid.ID).Draw(t, "damaged")
		data := append(slices.Clone(packed), make([]byte, p.Padded()-size)...)
		badData := 0
		for _, i := range shards {
			shard := data[min(i, p.Data-1)*p.Shard:]
			if i < p.Data {
				badData++
			} else {
				shard = object[p.headSize()+(i-p.Data)*p.Shard:]
			}
			shard[rapid.IntRange(0, min(p.Shard, size%p.Shard+1)-1).Draw(t, "byte")] ^= 0x40
		}
		damaged := slices.Clone(data)
		o, err := Parse(id, object)
		if err != nil {
			t.Fatal(err)
		}
		mended, err := codec.Mend(o, data)
		if len(shards) <= p.Parity || badData == 0 {
			if err != nil || mended != badData || !bytes.Equal(data[:size], packed) {
				t.Fatalf("%d shards, %d of the pack: mended %d, %v", len(shards), badData, mended, err)
			}
			return
		}
		if !errors.Is(err, ErrBeyond) || !bytes.Equal(data, damaged) {
			t.Fatalf("%d shards of %d+%d, mended %d, %v", len(shards), p.Data, p.Parity, mended, err)
		}
	})
}

// Either head serves, and each tells its own damage.
func TestHeads(t *testing.T) {
	s := Standard()
	id, packed := packOf(1, 300_000)
	whole := encode(t, s, id, packed)
	head := s.Shape(300_000).headSize()
	for name, harm := range map[string]func([]byte) []byte{
		"whole":      func(d []byte) []byte { return d },
		"front gone": func(d []byte) []byte { clear(d[:head]); return d },
		"end gone":   func(d []byte) []byte { return d[:len(d)-head] },
		"longer":     func(d []byte) []byte { return append(d, 1, 2, 3) },
	} {
		o, err := Parse(id, harm(slices.Clone(whole)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p := o.Shape
		data := append(slices.Clone(packed), make([]byte, p.Padded()-len(packed))...)
		clear(data[:5*p.Shard])
		if _, err := new(Codec).Mend(o, data); err != nil || !bytes.Equal(data[:len(packed)], packed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	both := slices.Clone(whole)
	both[20] ^= 1
	both[len(both)-head] ^= 1
	if _, err := Parse(id, both); !errors.Is(err, ErrDamaged) {
		t.Errorf("both heads damaged: %v", err)
	}
	if _, err := Parse(blob.PackID{1}, whole); !errors.Is(err, ErrOther) {
		t.Errorf("of another pack: %v", err)
	}
}

func TestSchemes(t *testing.T) {
	for _, s := range []Scheme{{}, Standard(), {Data: 1, Shards: 1}, {Stripe: 2}, {Data: 200, Shards: 56, Stripe: 255}} {
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []Scheme{{Data: 4}, {Shards: 4}, {Data: 250, Shards: 7}, {Stripe: 1}, {Stripe: 256}, {Data: -1, Shards: -1}} {
		if err := s.Validate(); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}
