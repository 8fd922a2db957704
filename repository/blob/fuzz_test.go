package blob

import (
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add(strings.Repeat("0f", 32))
	f.Add(strings.Repeat("a0", 16))
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && id.String() != strings.ToLower(s) {
			t.Errorf("blob id %q reads as %s", s, id)
		}
		if id, err := ParsePackID(s); err == nil && id.String() != strings.ToLower(s) {
			t.Errorf("pack id %q reads as %s", s, id)
		}
		var id ID
		if err := id.UnmarshalText([]byte(s)); (err == nil) != (len(s) == 64 && strings.Trim(s, "0123456789abcdefABCDEF") == "") {
			t.Errorf("%q: %v", s, err)
		}
	})
}
