package condemn

import (
	"bytes"
	"errors"
	"testing"

	"mahavishnu/repository/blob"
)

// FuzzDecode reads lists: there is one text for each set of packs.
func FuzzDecode(f *testing.F) {
	f.Add(Encode(nil))
	f.Add(Encode([]blob.PackID{{1}, {2}, {1}}))
	f.Fuzz(func(t *testing.T, text []byte) {
		packs, err := Decode(text)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("not told as damage: %v", err)
			}
			return
		}
		list := List{Packs: packs}
		for _, id := range packs {
			if !list.Has(id) {
				t.Fatalf("%s is on the list and is not found", id)
			}
		}
		again := Encode(packs)
		clear(text[12:16]) // reserved
		if !bytes.Equal(again, text) {
			t.Fatal("a list is written in other bytes than it was read from")
		}
	})
}
