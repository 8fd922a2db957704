package backend

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckPrefix(t *testing.T) {
	for _, good := range []string{"", "packs/", "packs/00/", "snapshots/%41b/"} {
		if err := CheckPrefix("list", good); err != nil {
			t.Errorf("CheckPrefix(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"/", "packs", "//", "../", "a//", ".tmp/"} {
		if err := CheckPrefix("list", bad); !errors.Is(err, ErrBadName) {
			t.Errorf("CheckPrefix(%q) = %v, want ErrBadName", bad, err)
		}
	}
}

// An error shows a wild name on one short line.
func TestBadNamesAreShownSafely(t *testing.T) {
	for _, name := range []string{"a\nb", "\x1b[2J", "\xff\xfe", strings.Repeat("x", 10000)} {
		text := CheckName("read", name).Error()
		if len(text) > 200 || strings.ContainsAny(text, "\n\x1b") || !utf8.ValidString(text) {
			t.Errorf("error about %.20q reads %.300q", name, text)
		}
	}
}
