package seal

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/keyring"
)

var ring = keyring.Generate(time.Unix(0, 0))

func keys() *Keys { return NewKeys(ring, bytes.Repeat([]byte{7}, 16)) }

func pattern(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 31)
	}
	return data
}

func TestSealOpen(t *testing.T) {
	k := keys()
	for _, n := range []int{0, 1, 100, SegmentSize - 1, SegmentSize, SegmentSize + 1, 2 * SegmentSize, 2*SegmentSize + 5} {
		want := pattern(n)
		data, err := k.Seal(TypeIndex, "index/1", want)
		if err != nil {
			t.Fatal(err)
		}
		if err := Scrub(data); err != nil {
			t.Fatalf("%d bytes: Scrub: %v", n, err)
		}
		got, err := k.Open(TypeIndex, "index/1", bytes.Clone(data))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: Open = %d bytes, %v", n, len(got), err)
		}
		for what, open := range map[string]func() ([]byte, error){
			"another name":       func() ([]byte, error) { return k.Open(TypeIndex, "index/2", data) },
			"another type":       func() ([]byte, error) { return k.Open(TypeSnapshot, "index/1", data) },
			"another repository": func() ([]byte, error) { return NewKeys(ring, make([]byte, 16)).Open(TypeIndex, "index/1", data) },
			"cut by a byte":      func() ([]byte, error) { return k.Open(TypeIndex, "index/1", data[:len(data)-1]) },
			"longer":             func() ([]byte, error) { return k.Open(TypeIndex, "index/1", append(bytes.Clone(data), 0)) },
		} {
			if _, err := open(); err == nil {
				t.Errorf("%d bytes: %s opened", n, what)
			}
		}
	}
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	k := keys()
	data, err := k.Seal(TypeSnapshot, "s", pattern(300))
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		if err := Scrub(bad); err == nil {
			t.Errorf("Scrub did not notice byte %d", i)
		}
		if _, err := k.Open(TypeSnapshot, "s", bad); err == nil {
			t.Errorf("Open did not notice byte %d", i)
		}
		if _, err := k.Open(TypeSnapshot, "s", data[:i]); !errors.Is(err, ErrNotSealed) && !errors.Is(err, ErrChecksum) {
			t.Errorf("cut after %d bytes: %v", i, err)
		}
	}
}

// Segments of one object cannot be exchanged, even with the checksum mended.
func TestSegmentsKeepTheirPlace(t *testing.T) {
	k := keys()
	data, err := k.Seal(TypeIndex, "i", make([]byte, 2*SegmentSize))
	if err != nil {
		t.Fatal(err)
	}
	a := data[HeaderSize:][:SegmentSize+TagSize]
	b := data[HeaderSize+SegmentSize+TagSize:][:SegmentSize+TagSize]
	tmp := bytes.Clone(a)
	copy(a, b)
	copy(b, tmp)
	data = appendSum(data[:len(data)-SumSize])
	if _, err := k.Open(TypeIndex, "i", data); !errors.Is(err, ErrOpen) {
		t.Fatalf("exchanged segments: %v, want ErrOpen", err)
	}
}

func TestPackKeysDiffer(t *testing.T) {
	k := keys()
	a, err := k.Pack(1, blob.PackID{1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.Pack(1, blob.PackID{2})
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, 12)
	if _, err := b.AEAD.Open(nil, nonce, a.AEAD.Seal(nil, nonce, []byte("x"), nil), nil); err == nil {
		t.Error("two packs have the same key")
	}
	ones, others := make([]byte, 16), make([]byte, 16)
	a.Block.Encrypt(ones, make([]byte, 16))
	b.Block.Encrypt(others, make([]byte, 16))
	if bytes.Equal(ones, others) {
		t.Error("two packs hide their headers with the same key")
	}
	if _, err := k.Pack(2, blob.PackID{1}); !errors.Is(err, keyring.ErrNoVersion) {
		t.Errorf("version 2 of 1: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	k := keys()
	for _, n := range []int{0, 100} {
		data, err := k.Seal(TypeIndex, "i", pattern(n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:HeaderSize])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = Scrub(data)
		_, _ = k.Open(TypeIndex, "i", data)
		if len(data) > SumSize { // and behind a checksum that agrees
			data = appendSum(data[:len(data)-SumSize])
			_, _ = k.Open(TypeIndex, "i", data)
		}
	})
}
