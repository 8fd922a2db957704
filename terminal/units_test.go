package terminal

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestUnits(t *testing.T) {
	at := time.Date(2026, 11, 23, 4, 5, 6, 7, time.UTC)
	for _, c := range []struct{ got, want string }{
		{Bytes(0), "0 B"},
		{Bytes(1023), "1023 B"},
		{Bytes(1536), "1.5 KiB"},
		{Bytes(1<<20 - 1), "1.0 MiB"},
		{Bytes(32 << 20), "32.0 MiB"},
		{Bytes(int64(120) << 30), "120 GiB"},
		{Bytes(^uint64(0)), "16.0 EiB"},
		{Rate(1<<20, 2*time.Second), "512 KiB/s"},
		{Rate(1, 0), "-"},
		{Count(7), "7"},
		{Count(1234567), "1,234,567"},
		{Count(-1234), "-1,234"},
		{Count(123456), "123,456"},
		{Plural(1, "file"), "1 file"},
		{Plural(0, "file"), "0 files"},
		{Plural(2000, "directory"), "2,000 directories"},
		{Plural(2, "day"), "2 days"},
		{Percent(1, 8), "12.5 %"},
		{Percent(1, 0), "-"},
		{Duration(0), "0 s"},
		{Duration(5 * time.Microsecond), "5 µs"},
		{Duration(4 * time.Millisecond), "4 ms"},
		{Duration(1500 * time.Millisecond), "1.5 s"},
		{Duration(42 * time.Second), "42 s"},
		{Duration(125 * time.Second), "2 min 05 s"},
		{Duration(187 * time.Minute), "3 h 07 min"},
		{Duration(292 * time.Hour), "12 d 4 h"},
		{Duration(-time.Minute), "-1 min 00 s"},
		{Moment(at), "2026-11-23 04:05:06 UTC"},
		{Moment(time.Time{}), "never"},
		{Ago(at, at.Add(time.Hour)), "1 h 00 min ago"},
		{Ago(at, at.Add(-5*time.Second)), "in 5.0 s"},
		{Ago(time.Time{}, at), "never"},
		{Cut("abcdef", 4), "abc…"},
		{Cut("abc", 4), "abc"},
		{CutLeft("abcdef", 4), "…def"},
		{CutLeft("abc", 0), ""},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestNameCannotDoHarm(t *testing.T) {
	for in, want := range map[string]string{
		"plain/ünïcode 文": "plain/ünïcode 文",
		"":                `""`,
		"two\nlines":      `"two\nlines"`,
		"\x1b[2Jclear":    `"\x1b[2Jclear"`,
		"bytes\xff":       `"bytes\xff"`,
		"\u202eright":     `"\u202eright"`,
	} {
		if got := Name(in); got != want {
			t.Errorf("Name(%q) = %s, want %s", in, got, want)
		}
	}
}

func FuzzName(f *testing.F) {
	f.Add("a\x00b")
	f.Add("\u2028")
	f.Fuzz(func(t *testing.T, name string) {
		got := Name(name)
		if !utf8.ValidString(got) {
			t.Errorf("Name(%q) is not UTF-8: %q", name, got)
		}
		for _, r := range got {
			if r < ' ' || r == 0x7f {
				t.Errorf("Name(%q) keeps the control character %q", name, r)
			}
		}
	})
}

func TestTable(t *testing.T) {
	table := NewTable("id", "size>", "path")
	table.Row("a1", "1.5 KiB", "über")
	table.Row("b", "12 B", "new\nline")
	table.Row("c")
	want := `ID     SIZE  PATH
a1  1.5 KiB  über
b      12 B  "new\nline"
c
`
	if diff := cmp.Diff(want, table.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFields(t *testing.T) {
	var f Fields
	f.Add("snapshot", "abc")
	f.Add("tags", "")
	if diff := cmp.Diff("snapshot:  abc\ntags:      -\n", f.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
