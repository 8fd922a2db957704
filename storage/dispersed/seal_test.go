package dispersed

import (
	"errors"
	"math"
	"reflect"
	"testing"
)

// Every single flipped bit of a seal is noticed.
func TestFlippedBitsInSeals(t *testing.T) {
	want := seal{set: newSetID(), quorum: 5, given: 1 << 61, marks: []uint64{1, 0, math.MaxInt64, 1 << 60, 2, 3}}
	buf := want.encode()
	if got, err := parseSeal(buf); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	for bit := range 8 * len(buf) {
		buf[bit/8] ^= 1 << (bit % 8)
		if _, err := parseSeal(buf); !errors.Is(err, errSeal) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
		buf[bit/8] ^= 1 << (bit % 8)
	}
	for n := range buf {
		if _, err := parseSeal(buf[:n]); !errors.Is(err, errSeal) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

func TestNamesOfTheHistory(t *testing.T) {
	v := version{seq: 1 << 60, gen: random()}
	for name, want := range map[string]struct{ sealed, ok bool }{
		markName(v):                          {false, true},
		sealName(v):                          {true, true},
		markName(version{seq: 1 << 63}):      {false, false},
		historyDir + "other-" + v.String():   {false, false},
		historyDir + markPrefix + "1":        {false, false},
		area + "x/" + sealPrefix + "y":       {false, false},
		stagedPath("a", v):                   {false, false},
		historyDir + v.String():              {false, false},
		markName(v) + "/" + markPrefix + "a": {false, false},
	} {
		got, sealed, ok := parseHistory(name)
		if ok != want.ok || ok && (sealed != want.sealed || got != v) {
			t.Errorf("%s: %v, %v, %v", name, got, sealed, ok)
		}
	}
}

func FuzzSeal(f *testing.F) {
	f.Add(seal{set: newSetID(), quorum: 2, marks: []uint64{1, 2, 0}}.encode())
	f.Add(seal{set: newSetID(), quorum: 2, given: 2, marks: []uint64{1, 2, 0}}.encode())
	f.Add([]byte(sealMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSeal(data)
		if err != nil {
			if !errors.Is(err, errSeal) {
				t.Fatal(err)
			}
			return
		}
		again, err := parseSeal(s.encode())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%+v, %v, of %+v", again, err, s)
		}
	})
}
