package parity

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mahavishnu/repository/blob"
)

type packed struct {
	id   blob.PackID
	data []byte
}

func somePacks(n int) []packed {
	var all []packed
	for i := range n {
		id, data := packOf(uint64(i), sizes[i%len(sizes)])
		all = append(all, packed{id, data})
	}
	return all
}

func stripeOf(packs []packed) (StripeID, []byte) {
	b := NewBuilder(make([]byte, BuilderSpace(40, 1<<20)), 40, 1<<20)
	for _, p := range packs {
		b.Add(p.id, p.data)
	}
	id, data := b.Finish()
	return id, slices.Clone(data)
}

// Any one pack is what is left when all others are taken out.
func TestStripe(t *testing.T) {
	for _, n := range []int{1, 2, 3, 32} {
		packs := somePacks(n)
		id, data := stripeOf(packs)
		h, _, err := ParseHead(id, data)
		if err != nil || len(h.Members) != n || h.Size() != len(data) || Scrub(data) != nil {
			t.Fatalf("%d packs: %+v, %v", n, h, err)
		}
		if last, err := ParseTail(id, data[len(data)/2:]); n > 2 && (err != nil || last.Length != h.Length) {
			t.Errorf("the head at the end: %v", err)
		}
		body, whole := h.Body(data)
		for i, lost := range packs {
			m, ok := h.Find(lost.id)
			if !whole || !ok || int(m.Size) != len(lost.data) || m.Sum != Sum(lost.data) {
				t.Fatalf("member %+v", m)
			}
			got := slices.Clone(body)
			for j, p := range packs {
				if j != i {
					XOR(got, p.data)
				}
			}
			if !bytes.Equal(got[:m.Size], lost.data) || slices.Max(append(got[m.Size:], 0)) != 0 {
				t.Errorf("pack %d of %d comes out wrong", i, n)
			}
		}
	}
}

// Whatever order packs come, go and are joined in, the same packs make the same
// stripe.
func TestStripesCompose(t *testing.T) {
	all := somePacks(20)
	rapid.Check(t, func(t *rapid.T) {
		stay := rapid.SliceOfNDistinct(rapid.IntRange(0, 19), 1, 20, rapid.ID).Draw(t, "stay")
		var want, gone []packed
		for i, p := range all {
			if slices.Contains(stay, i) {
				want = append(want, p)
			} else {
				gone = append(gone, p)
			}
		}
		wantID, wantData := stripeOf(want)

		cut := rapid.IntRange(1, 19).Draw(t, "cut")
		b := NewBuilder(make([]byte, BuilderSpace(40, 1<<20)), 40, 1<<20)
		b.Add(all[0].id, all[0].data)
		b.Finish()
		b.Reset()
		for _, part := range [][]packed{all[cut:], all[:cut]} {
			id, data := stripeOf(part)
			h, _, err := ParseHead(id, data)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := h.Body(data)
			b.AddStripe(h, body)
		}
		for _, p := range gone {
			b.Remove(p.id, p.data)
		}
		if id, data := b.Finish(); id != wantID || !bytes.Equal(data, wantData) {
			t.Fatalf("%v, want %v", id, wantID)
		}
	})
}

func TestStripeTellsDamage(t *testing.T) {
	id, data := stripeOf(somePacks(7))
	h, _, err := ParseHead(id, data)
	if err != nil {
		t.Fatal(err)
	}
	for at := h.size; at < h.size+h.Length; at += 9973 {
		bad := slices.Clone(data)
		bad[at] ^= 4
		if _, whole := h.Body(bad); whole || Scrub(bad) == nil {
			t.Errorf("a flip at %d is not told", at)
		}
	}
	if _, whole := h.Body(data[:len(data)/2]); whole {
		t.Error("half a stripe counts as whole")
	}
	other, otherData := stripeOf(somePacks(8))
	if head, _, err := ParseHead(id, otherData); !errors.Is(err, ErrOther) || head == nil || head.ID != other {
		t.Errorf("another stripe: %v", err)
	}
	if _, n, err := ParseHead(id, data[:100]); !errors.Is(err, ErrMore) || n != h.size {
		t.Errorf("a short beginning: %d, %v", n, err)
	}
	if back, err := ParseStripeID(id.String()); err != nil || back != id {
		t.Errorf("%v, %v", back, err)
	}
	for _, s := range []string{"", "xx", id.String()[1:], "A" + id.String()[1:]} {
		if _, err := ParseStripeID(s); err == nil {
			t.Errorf("%q is taken for a stripe's id", s)
		}
	}
}
