package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"mahavishnu/repository/blob"
)

var ledgers = rapid.Custom(func(t *rapid.T) Ledger {
	var marks []Mark
	for range rapid.IntRange(0, 6).Draw(t, "marks") {
		marks = append(marks, Mark{
			ID:    blob.PackID{byte(rapid.IntRange(0, 4).Draw(t, "pack"))},
			Scrub: rapid.Int64Range(0, 9).Draw(t, "scrub"), Full: rapid.Int64Range(0, 9).Draw(t, "full"),
		})
	}
	var fates []Fate
	for range rapid.IntRange(0, 6).Draw(t, "fates") {
		fates = append(fates, Fate{
			Name: rapid.SampledFrom([]string{"a", "b", "cc"}).Draw(t, "name"),
			Seen: rapid.Int64Range(0, 9).Draw(t, "seen"), Forgotten: rapid.Int64Range(0, 9).Draw(t, "forgotten"),
		})
	}
	return New(marks, fates)
})

func same(a, b Ledger) bool { return cmp.Equal(a, b, cmpopts.EquateEmpty()) }

// Verifiers that know nothing of each other agree, whoever merges what and how
// often.
func TestJoinIsALattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := ledgers.Draw(t, "a"), ledgers.Draw(t, "b"), ledgers.Draw(t, "c")
		if !same(Join(a, b), Join(b, a)) || !same(Join(a, Join(b, c)), Join(Join(a, b), c)) || !same(Join(a, a), a) {
			t.Fatal("joining depends on the order")
		}
		if all := New(append(slices.Clone(a.Marks), b.Marks...), append(slices.Clone(a.Fates), b.Fates...)); !same(all, Join(a, b)) {
			t.Fatalf("in one: %v; joined: %v", all, Join(a, b))
		}
		now := rapid.Int64Range(0, 9).Draw(t, "now")
		for _, m := range Join(a.Clamp(now), b.Clamp(now)).Marks {
			if m.Scrub > now || m.Full > now || m.Verified() > now {
				t.Fatalf("verified in the future: %+v at %d", m, now)
			}
		}
	})
}

func TestEncodeAndDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := ledgers.Draw(t, "ledger")
		data, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(data)
		if err != nil || !same(got, want) {
			t.Fatalf("%v, %v; want %v", got, err, want)
		}
		for n := range data {
			if _, err := Decode(data[:n]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut after %d of %d bytes: %v", n, len(data), err)
			}
		}
	})
}

// A wrong clock in one ledger must not hide the right times of others.
func TestATimeInTheFutureCountsAsNever(t *testing.T) {
	wrong := New([]Mark{{ID: blob.PackID{1}, Full: 1 << 60, Scrub: 50}}, []Fate{{Name: "s", Seen: 1 << 60}})
	right := New([]Mark{{ID: blob.PackID{1}, Full: 40}}, nil)
	got := Join(wrong.Clamp(100), right.Clamp(100))
	if m := got.Mark(blob.PackID{1}); m.Full != 40 || m.Scrub != 50 || m.Verified() != 50 {
		t.Errorf("%+v", m)
	}
	if f := got.Fate("s"); f.Seen != 100 {
		t.Errorf("%+v", f)
	}
	if m := wrong.Clamp(100).Mark(blob.PackID{1}); m.Verified() != 0 {
		t.Errorf("a scrub alone, of what was never opened, counts: %+v", m)
	}
}

func TestSplit(t *testing.T) {
	var fates []Fate
	for i := range 1<<16 + 10 {
		fates = append(fates, Fate{Name: fmt.Sprint(strings.Repeat("x", i%7+1), i), Seen: 1})
	}
	whole := New([]Mark{{ID: blob.PackID{1}, Full: 1}}, fates)
	var joined Ledger
	parts := whole.Split()
	for _, p := range parts {
		data, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		joined = Join(joined, back)
	}
	if len(parts) != 2 || !same(joined, whole) {
		t.Errorf("%d parts", len(parts))
	}
}

func TestDoubts(t *testing.T) {
	want := []Doubt{
		{Pack: blob.PackID{1}, Why: Content, Found: 7, Blobs: []blob.ID{{1}, {2}}},
		{Pack: blob.PackID{2}, Why: Stored, Found: 8, Blobs: []blob.ID{}},
	}
	data := EncodeDoubts(want)
	got, err := DecodeDoubts(data)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for n := range data {
		if _, err := DecodeDoubts(data[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(data), err)
		}
	}
	data[16+24] = 99
	if got, err := DecodeDoubts(data); err != nil || got[0].Why != Content {
		t.Errorf("an unknown reason: %v, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	data, err := New([]Mark{{ID: blob.PackID{1}, Full: 3}, {ID: blob.PackID{2}, Scrub: 3}}, []Fate{{Name: "snapshots/a/b", Seen: 1}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(EncodeDoubts([]Doubt{{Pack: blob.PackID{1}, Why: Content, Blobs: []blob.ID{{1}}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if l, err := Decode(data); err == nil {
			again, err := l.Encode()
			if err != nil {
				t.Fatal(err)
			}
			back, err := Decode(again)
			if err != nil || !same(back, l) {
				t.Fatalf("written again it reads as %v, %v", back, err)
			}
		}
		if d, err := DecodeDoubts(data); err == nil {
			if back, err := DecodeDoubts(EncodeDoubts(d)); err != nil || !cmp.Equal(back, d) {
				t.Fatalf("written again it reads as %v, %v", back, err)
			}
		}
	})
}
