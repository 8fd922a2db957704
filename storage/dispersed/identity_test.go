package dispersed

import (
	"testing"
)

// Every single flipped bit of a storage's record is noticed.
func TestFlippedBitsInRecords(t *testing.T) {
	want := membership{set: newSetID(), data: 4, parity: 2, index: 5, filling: true, since: 1 << 60}
	buf := want.encode()
	if got, err := parseMembership(buf); err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	for bit := range 8 * recordLen {
		buf[bit/8] ^= 1 << (bit % 8)
		if _, err := parseMembership(buf); !stranger(err) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
		buf[bit/8] ^= 1 << (bit % 8)
	}
}

func FuzzMembership(f *testing.F) {
	f.Add(membership{set: newSetID(), data: 2, parity: 1, since: 1}.encode())
	f.Add([]byte(recordMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := parseMembership(data)
		if err != nil {
			if !stranger(err) {
				t.Fatal(err)
			}
			return
		}
		again, err := parseMembership(rec.encode())
		if err != nil || again != rec {
			t.Fatalf("%+v, %v, of %+v", again, err, rec)
		}
	})
}
