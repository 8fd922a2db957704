package postgres

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLSN(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]LSN{"0/0": 0, "0/1": 1, "1/0": 1 << 32, "1A/5C000028": 0x1A5C000028, "FFFFFFFF/FFFFFFFF": 1<<64 - 1} {
		got, err := ParseLSN(text)
		if err != nil || got != want {
			t.Errorf("ParseLSN(%q) = %d, %v; want %d", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%q renders as %q", text, got.String())
		}
	}
	for _, bad := range []string{"", "1", "/", "1/", "/1", "100000000/0", "0/100000000", "g/0", "-1/0", "0/0/0"} {
		if l, err := ParseLSN(bad); err == nil {
			t.Errorf("ParseLSN(%q) = %v", bad, l)
		}
	}
}

func FuzzParseLSN(f *testing.F) {
	f.Add("1A/5C000028")
	f.Add("0/")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLSN(text)
		if err != nil {
			return
		}
		again, err := ParseLSN(l.String())
		if err != nil || again != l {
			t.Fatalf("%q is %d, and that is %q: %d, %v", text, l, l.String(), again, err)
		}
	})
}

func TestParsePID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		pid    int
		status string
		bad    bool
	}{
		{text: "4711\n/data\n1700000000\n5432\n/run\n127.0.0.1\n  1234567 3\nready   \n", pid: 4711, status: "ready"},
		{text: "4711\n/data\n1700000000\n5432\n/run\n127.0.0.1\n  1234567 3\nstandby \n", pid: 4711, status: "standby"},
		{text: "4711\n/data\n", pid: 4711},
		{text: "-4711\n/data\n", pid: 4711},
		{text: ""},
		{text: "rubbish\n", bad: true},
	} {
		pid, status, err := parsePID(c.text)
		if pid != c.pid || status != c.status || (err != nil) != c.bad {
			t.Errorf("parsePID(%q) = %d, %q, %v", c.text, pid, status, err)
		}
	}
}

func FuzzParsePID(f *testing.F) {
	f.Add("4711\n/data\n1700000000\n5432\n/run\n127.0.0.1\n  1234567 3\nready   \n")
	f.Fuzz(func(t *testing.T, text string) {
		if pid, _, err := parsePID(text); err == nil && pid < 0 {
			t.Fatalf("%q names process %d", text, pid)
		}
	})
}

const controldata = `pg_control version number:            1300
Catalog version number:               202209061
Database system identifier:           7400000000000000001
Database cluster state:               in archive recovery
pg_control last modified:             Mon 01 Jan 2024 00:00:00
Latest checkpoint location:           0/3000060
Latest checkpoint's REDO location:    0/3000028
Latest checkpoint's TimeLineID:       3
Minimum recovery ending location:     0/4000100
Min recovery ending loc's timeline:   4
wal_log_hints setting:                off
Data page checksum version:           1
`

func TestParseControl(t *testing.T) {
	t.Parallel()
	c, err := parseControl(controldata)
	if err != nil {
		t.Fatal(err)
	}
	want := Control{SystemID: "7400000000000000001", State: "in archive recovery", Timeline: 3, Checkpoint: 0x3000060, RecoveryEnd: 0x4000100, RecoveryTimeline: 4, Rewindable: true}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if !c.Standby() || c.Clean() {
		t.Errorf("a standby that was cut off: standby %v, clean %v", c.Standby(), c.Clean())
	}
	for change, want := range map[string]struct{ standby, clean, rewindable bool }{
		"in production|checksums off": {false, false, false},
		"in production|hints on":      {false, false, true},
		"shut down|":                  {false, true, true},
		"shut down in recovery|":      {true, true, true},
		"in crash recovery|":          {false, false, true},
	} {
		state, more, _ := strings.Cut(change, "|")
		text := strings.ReplaceAll(controldata, "in archive recovery", state)
		if more != "" {
			text = strings.ReplaceAll(text, "version:           1", "version:           0")
		}
		if more == "hints on" {
			text = strings.ReplaceAll(text, "off", "on")
		}
		c, err := parseControl(text)
		if err != nil || c.Standby() != want.standby || c.Clean() != want.clean || c.Rewindable != want.rewindable {
			t.Errorf("%s: %+v, %v", change, c, err)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(controldata), "\n") {
		key, _, _ := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(key, "pg_control"), strings.HasPrefix(key, "Catalog"), strings.Contains(key, "REDO"), strings.HasPrefix(key, "wal_log"), strings.HasPrefix(key, "Data page"):
			continue // nothing is decided by it, or its lack means no
		}
		if _, err := parseControl(strings.ReplaceAll(controldata, line+"\n", "")); err == nil {
			t.Errorf("read without %q", key)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add(controldata)
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseControl(text); err == nil && (c.SystemID == "" || c.State == "") {
			t.Fatalf("read %+v", c)
		}
	})
}

func TestHistory(t *testing.T) {
	t.Parallel()
	text := "1\t0/3000060\tno recovery target specified\n\n# a remark\n2\t0/5000148\tno recovery target specified\n"
	before, err := parseHistory(text)
	if err != nil {
		t.Fatal(err)
	}
	a := ancestry{timeline: 3, position: 0x6000000, before: before}
	own := []branch{{1, 0x3000060}, {2, 0x4000000}}
	for _, c := range []struct {
		timeline uint32
		end      LSN
		on       uint32
		at       LSN
		none     bool
	}{
		{timeline: 3, end: 0x6000000, on: 3, at: 0x6000000},
		{timeline: 3, end: 0x6000001, on: 3, at: 0x6000000},
		{timeline: 2, end: 0x5000148, on: 2, at: 0x5000148},
		{timeline: 2, end: 0x5000149, on: 2, at: 0x5000148},
		{timeline: 1, end: 0x3000060, on: 1, at: 0x3000060},
		{timeline: 1, end: 1, on: 1, at: 1},
		// It went its own way from timeline 2 on.
		{timeline: 4, end: 0x7000000, on: 2, at: 0x4000000},
	} {
		on, at, ok := a.parting(c.timeline, c.end, own)
		if on != c.on || at != c.at || !ok {
			t.Errorf("timeline %d up to %v: parting on %d at %v, %v", c.timeline, c.end, on, at, ok)
		}
	}
	if on, at, ok := a.parting(5, 1, nil); ok {
		t.Errorf("no history in common, but %d at %v", on, at)
	}
	if name, offset := segment(3, 0x1_2345_6789, 16<<20); name != "000000030000000100000023" || offset != 0x456789 {
		t.Errorf("segment %s at %x", name, offset)
	}
	if name, _ := segment(3, 0x1_2345_6789, 1<<30); name != "000000030000000100000000" {
		t.Errorf("segment %s", name)
	}
	for _, bad := range []string{"1\n", "x\t0/1\ty\n", "1\tnowhere\ty\n", "4294967296\t0/1\n"} {
		if _, err := parseHistory(bad); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}

func FuzzHistory(f *testing.F) {
	f.Add("1\t0/3000060\tno recovery target specified\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseHistory(text)
		if err == nil && len(all) > strings.Count(text, "\n")+1 {
			t.Fatalf("%d branches in %q", len(all), text)
		}
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	old := "# Do not edit this file manually!\nwork_mem = '4MB'\nPrimary_Conninfo = 'host=old'\nprimary_conninfo='host=older'"
	got := withSettings(old, []setting{{"primary_conninfo", `host='it''s' passfile='a\b'`}, {"primary_slot_name", "x\ny"}})
	want := "# Do not edit this file manually!\nwork_mem = '4MB'\nprimary_conninfo = 'host=''it''''s'' passfile=''a\\\\b'''\nprimary_slot_name = 'x y'\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again := withSettings(got, []setting{{"primary_conninfo", `host='it''s' passfile='a\b'`}, {"primary_slot_name", "x\ny"}}); again != got {
		t.Errorf("again\n%s", again)
	}
	if c := connection(setting{"host", "h"}, setting{"user", ""}, setting{"passfile", `it's \ here`}); c != `host='h' passfile='it\'s \\ here'` {
		t.Error(c)
	}
}

func TestSynchronousNames(t *testing.T) {
	t.Parallel()
	for want, members := range map[string][]string{
		"": nil, `FIRST 1 ("b")`: {"b"}, `FIRST 2 ("b-1", "c")`: {"b-1", "c"}, "FIRST 1 (*)": {Everyone},
	} {
		if got := synchronousNames(members); got != want {
			t.Errorf("%v: %s, want %s", members, got, want)
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{{"short", "short"}, {"first line\nsecond", "second"}, {"one very long line", "long line"}} {
		if got := tail(c.text, 9); got != c.want {
			t.Errorf("tail(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}
