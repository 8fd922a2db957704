package snapshot

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

// What is shown of a path can be shown, and leads back to the path.
func FuzzPrintable(f *testing.F) {
	f.Add("/srv/file")
	f.Add("a\\x41\xff\n\u202e")
	f.Fuzz(func(t *testing.T, path string) {
		text := Printable(path)
		if got := ParsePrintable(text); got != path {
			t.Fatalf("%q is shown as %q, which reads as %q", path, text, got)
		}
		for _, r := range text {
			if !unicode.IsPrint(r) || !utf8.ValidString(text) {
				t.Fatalf("%q is shown as %q", path, text)
			}
		}
		ParsePrintable(path) // whatever somebody types
	})
}
