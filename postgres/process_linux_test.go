package postgres

import "testing"

func TestParseStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want process
		dead bool
	}{
		{text: "Name:\tpostgres\nState:\tS (sleeping)\nPPid:\t17\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n", want: process{parent: 17}},
		{text: "State:\tT (stopped)\nPPid:\t17\n", want: process{parent: 17, frozen: true}},
		{text: "State:\tZ (zombie)\nPPid:\t17\n", want: process{parent: 17}, dead: true},
		{text: "State:\tD (disk sleep)\nPPid:\t17\nSigPnd:\t0000000000000100\n", want: process{parent: 17, doomed: true}},
		{text: "State:\tD (disk sleep)\nPPid:\t17\nShdPnd:\t0000000000000100\n", want: process{parent: 17, doomed: true}},
		{text: "State:\tR (running)\nPPid:\t17\nSigPnd:\t0000000000000100\n", want: process{parent: 17}},
		{text: "State:\tD (disk sleep)\nPPid:\t17\nShdPnd:\t0000000000000004\n", want: process{parent: 17}},
		{text: "nonsense", want: process{}},
	} {
		got, dead := parseStatus(c.text)
		if got != c.want || dead != c.dead {
			t.Errorf("%q: %+v, %v", c.text, got, dead)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add("State:\tS (sleeping)\nPPid:\t17\nSigPnd:\t0000000000000100\n")
	f.Fuzz(func(_ *testing.T, text string) { parseStatus(text) })
}

func TestPostmasterIsFoundWithoutItsFile(t *testing.T) {
	t.Parallel()
	s := &Server{o: Options{DataDir: t.TempDir()}}
	all := []process{{pid: 11, parent: 10}, {pid: 10, parent: 1}, {pid: 12, parent: 10}}
	if p, ok := s.postmaster(all); !ok || p.pid != 10 {
		t.Errorf("postmaster %+v, %v", p, ok)
	}
	if p, ok := s.postmaster(all[:1]); ok {
		t.Errorf("an orphan is taken for the postmaster: %+v", p)
	}
}
