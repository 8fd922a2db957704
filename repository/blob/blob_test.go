package blob

import (
	"encoding/json"
	"testing"
)

func TestIDsAsText(t *testing.T) {
	id := ID{0xab, 31: 1}
	got, err := ParseID(id.String())
	if err != nil || got != id || id.IsZero() || !(ID{}).IsZero() {
		t.Errorf("ParseID(%s) = %s, %v", id, got, err)
	}
	text, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	var back ID
	if err := json.Unmarshal(text, &back); err != nil || back != id {
		t.Errorf("%s reads as %s, %v", text, back, err)
	}
	pack := NewPackID([4]byte{1, 2, 3, 4})
	if got, err := ParsePackID(pack.String()); err != nil || got != pack || pack == NewPackID([4]byte{1, 2, 3, 4}) {
		t.Errorf("ParsePackID(%s) = %s, %v", pack, got, err)
	}
	if got, want := (PackID{0xab, 0xcd}).Object(), "packs/ab/abcd0000000000000000000000000000"; got != want {
		t.Errorf("Object = %s, want %s", got, want)
	}
	for _, bad := range []string{"", "ab", id.String() + "0", id.String()[:63] + "x"} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) succeeded", bad)
		}
		if _, err := ParsePackID(bad); err == nil {
			t.Errorf("ParsePackID(%q) succeeded", bad)
		}
	}
}

func TestKinds(t *testing.T) {
	if !KindData.Valid() || !KindTree.Valid() || Kind(0).Valid() || Kind(3).Valid() {
		t.Error("Valid is wrong about the kinds")
	}
	if KindData.String() != "data" || KindTree.String() != "tree" {
		t.Error("the names of kinds are part of the format: content ids depend on them")
	}
}
