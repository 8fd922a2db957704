package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/compress"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/seal"
)

// fixture is a pack and what is in it.
type fixture struct {
	dec     Decoder
	header  Header
	data    []byte
	entries []Entry
	blobs   [][]byte
}

func contentID(data []byte) blob.ID { return sha256.Sum256(data) }

var ring = keyring.Generate(time.Unix(0, 0))

func build(t testing.TB, sizes []int, pad bool) fixture {
	t.Helper()
	keys := seal.NewKeys(ring, make([]byte, 16))
	f := fixture{header: Header{Kind: blob.KindData, Flags: FlagArchival, KeyVersion: 1, ID: blob.PackID{1, 2, 3}}}
	key, err := keys.Pack(1, f.header.ID)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := compress.NewEncoder(compress.Setting{})
	if err != nil {
		t.Fatal(err)
	}
	comp, err := compress.NewDecoder(blob.MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(comp.Close)
	f.dec = Decoder{Kind: blob.KindData, Key: key, Comp: comp}
	w := NewWriter(make([]byte, 4<<20), f.header, key, enc, pad)
	rng := rand.New(rand.NewPCG(1, 1))
	for i, n := range sizes {
		data := make([]byte, n)
		if i%2 == 0 {
			for j := range data {
				data[j] = byte(rng.Uint32())
			}
		}
		f.blobs = append(f.blobs, data)
		if !w.Fits(n) {
			t.Fatalf("blob %d does not fit", i)
		}
		if _, err := w.Add(contentID(data), data); err != nil {
			t.Fatal(err)
		}
	}
	f.entries = w.Entries()
	f.data = bytes.Clone(w.Finish())
	return f
}

var sizes = []int{0, 1, 31, 127, 128, 129, 1000, 40000, 40000, 300000, 5}

func TestWriteAndRead(t *testing.T) {
	for _, pad := range []bool{false, true} {
		f := build(t, sizes, pad)
		trailer, err := Scrub(f.data, f.header.ID)
		if err != nil || trailer.Header != f.header || int(trailer.Count) != len(sizes) {
			t.Fatalf("Scrub = %+v, %v", trailer, err)
		}
		got, err := f.dec.Footer(trailer, bytes.Clone(f.data[trailer.FooterOffset:][:trailer.FooterSize]))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f.entries, got); diff != "" {
			t.Fatalf("footer (-written +read):\n%s", diff)
		}
		for i, e := range got {
			record := bytes.Clone(f.data[e.Offset:][:e.Stored])
			data, _, err := f.dec.Blob(nil, record, e.ID, e.Raw)
			if err != nil || !bytes.Equal(data, f.blobs[i]) {
				t.Fatalf("blob %d: %d bytes, %v", i, len(data), err)
			}
			if _, _, err := f.dec.Blob(nil, bytes.Clone(f.data[e.Offset:][:e.Stored]), blob.ID{99}, e.Raw); err == nil {
				t.Errorf("blob %d was given for another id", i)
			}
		}
	}
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	f := build(t, []int{10, 200, 64}, true)
	for i := range f.data {
		bad := bytes.Clone(f.data)
		bad[i] ^= 8
		if _, err := Scrub(bad, f.header.ID); err == nil {
			t.Errorf("Scrub did not notice byte %d of %d", i, len(f.data))
		}
		for n, e := range f.entries {
			data, _, err := f.dec.Blob(nil, bad[e.Offset:][:e.Stored], e.ID, e.Raw)
			if err == nil && !bytes.Equal(data, f.blobs[n]) {
				t.Fatalf("byte %d flipped: wrong bytes of blob %d", i, n)
			}
		}
	}
	for i := range f.data {
		if _, err := Scrub(f.data[:i], f.header.ID); err == nil {
			t.Errorf("Scrub did not notice a cut after %d bytes", i)
		}
	}
	if _, err := Scrub(f.data, blob.PackID{9}); err == nil {
		t.Error("Scrub took one pack for another")
	}
}

func TestScanFindsWhatIsWhole(t *testing.T) {
	f := build(t, sizes, true)
	broken := 7
	e := f.entries[broken]
	data := bytes.Clone(f.data[:len(f.data)-100])
	clear(data[e.Offset+10 : e.Offset+e.Stored/2])
	data = append([]byte("garbage before everything"), data...)
	var got []blob.ID
	for _, found := range f.dec.Scan(data, contentID) {
		got = append(got, found.ID)
	}
	var want []blob.ID
	for i, e := range f.entries {
		if i != broken {
			want = append(want, e.ID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestFull(t *testing.T) {
	keys := seal.NewKeys(ring, make([]byte, 16))
	key, err := keys.Pack(1, blob.PackID{})
	if err != nil {
		t.Fatal(err)
	}
	enc, err := compress.NewEncoder(compress.Setting{Algorithm: compress.None})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 500, 3000} {
		buf := make([]byte, 16<<10)
		w := NewWriter(buf, Header{Kind: blob.KindTree, KeyVersion: 1}, key, enc, true)
		added := 0
		for w.Fits(n) {
			if _, err := w.Add(blob.ID{}, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			added++
		}
		data := w.Finish()
		if &data[0] != &buf[0] || len(data) > len(buf) || added == 0 {
			t.Errorf("%d blobs of %d bytes made %d bytes in a buffer of %d", added, n, len(data), len(buf))
		}
		if _, err := Scrub(data, blob.PackID{}); err != nil {
			t.Error(err)
		}
	}
	for _, size := range []int{1 << 10, 16 << 10, 32 << 20} {
		w := NewWriter(make([]byte, size), Header{Kind: blob.KindData}, key, enc, true)
		if !w.Fits(Room(size)) {
			t.Errorf("a blob of Room(%d) = %d bytes does not fit", size, Room(size))
		}
	}
}

func TestPadded(t *testing.T) {
	for blobs := range 50 {
		last := 0
		for size := 0; size < 1<<17; size += 1 + blobs {
			p := Padded(size, blobs)
			if p < size || p > size+size/max(blobs, 1)/64 || Padded(p, blobs) != p || p < last {
				t.Fatalf("Padded(%d, %d) = %d after %d", size, blobs, p, last)
			}
			last = p
		}
	}
}

// Packs show no more of the sizes of their blobs than their own size does, which
// is the same for blobs of about the same size.
func TestSizesAreHidden(t *testing.T) {
	seen := map[int]bool{}
	for n := range 1000 {
		seen[len(build(t, []int{40000 + n}, true).data)] = true
	}
	if len(seen) > 3 {
		t.Errorf("1000 sizes of a blob make packs of %d sizes", len(seen))
	}
	f := build(t, sizes, true)
	for _, e := range f.entries {
		for _, size := range []uint32{e.Stored, e.Stored - RecordHeaderSize, e.Raw} {
			if b := binary.LittleEndian.AppendUint32(nil, size); size > 1<<16 && bytes.Contains(f.data, b) {
				t.Errorf("the size %d can be read", size)
			}
		}
	}
}

// fixSum makes the checksum agree, so that fuzzing gets behind it.
func fixSum(data []byte) {
	if n := len(data); n > 8 {
		binary.LittleEndian.PutUint64(data[n-8:], xxhash.Sum64(data[:n-8]))
	}
}

func FuzzPack(f *testing.F) {
	x := build(f, []int{10, 200}, true)
	f.Add(x.data)
	f.Add(x.data[:100])
	f.Add(x.data[len(x.data)-TrailerSize:])
	f.Fuzz(func(t *testing.T, data []byte) {
		for range 2 {
			x.dec.Scan(data, contentID)
			trailer, err := Scrub(data, x.header.ID)
			if err == nil {
				_, _ = x.dec.Footer(trailer, bytes.Clone(data[trailer.FooterOffset:][:trailer.FooterSize]))
			}
			for i, e := range x.entries {
				if int(e.Offset)+int(e.Stored) > len(data) {
					continue
				}
				got, _, err := x.dec.Blob(nil, bytes.Clone(data[e.Offset:][:e.Stored]), e.ID, e.Raw)
				if err == nil && !bytes.Equal(got, x.blobs[i]) {
					t.Fatal("wrong bytes")
				}
			}
			fixSum(data)
		}
	})
}

// FuzzSealed fuzzes what is inside a seal that opens: a writer with the key may
// have errors too.
func FuzzSealed(f *testing.F) {
	x := build(f, []int{10}, true)
	f.Add(make([]byte, EntrySize), uint32(100), uint8(0), false)
	f.Add(make([]byte, 100), uint32(100), uint8(1), false)
	f.Add(make([]byte, 2*EntrySize), uint32(0), uint8(2), true)
	f.Fuzz(func(t *testing.T, text []byte, raw uint32, code uint8, footer bool) {
		h := recordHeader{
			kind: blob.KindData, footer: footer, sealed: uint32(len(text) + seal.TagSize), raw: raw & (1<<24 - 1), code: compress.Code(code),
		}
		if footer {
			h.ordinal = footerOrdinal
		}
		record := make([]byte, RecordHeaderSize, RecordHeaderSize+len(text)+seal.TagSize)
		h.put(record, x.dec.Key.Block)
		record = x.dec.Key.AEAD.Seal(record, nonce(h.ordinal), text, record[:RecordHeaderSize])
		if footer {
			size := uint32(len(record))
			for count := range size/EntrySize + 2 {
				_, _ = x.dec.Footer(Trailer{FooterOffset: 1 << 20, FooterSize: size, Count: count}, bytes.Clone(record))
			}
			return
		}
		x.dec.Scan(record, contentID)
		_, _, _ = x.dec.Blob(nil, record, blob.ID{}, 100)
	})
}
