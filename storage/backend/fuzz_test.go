package backend

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// An accepted name stays inside the place it is joined to, on every system, and
// is the only spelling of itself.
func FuzzName(f *testing.F) {
	f.Add("packs/0f/0f00")
	f.Add("a/../b")
	f.Add(".hidden/x")
	f.Fuzz(func(t *testing.T, name string) {
		if (CheckName("fuzz", name) == nil) != ValidName(name) {
			t.Fatalf("%q: the two checks disagree", name)
		}
		if (CheckPrefix("fuzz", name+"/") == nil) != ValidName(name) {
			t.Fatalf("%q: a name and a prefix of it disagree", name)
		}
		if !ValidName(name) {
			return
		}
		if path.Clean(name) != name || !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsAny(name, "\\:\x00") {
			t.Fatalf("%q is accepted", name)
		}
	})
}
