package dispersed

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]Layout{
		"disperse:2+1?at=file:///a&at=file:///b&at=/c": {Data: 2, Parity: 1, At: []string{"file:///a", "file:///b", "/c"}},
		"disperse:2+1?quorum=3&hedge=off&at=s3://a%3Fregion=x%26endpoint=y&at=b&at=c": {
			Data: 2, Parity: 1, Quorum: 3, NoHedging: true, At: []string{"s3://a?region=x&endpoint=y", "b", "c"},
		},
		"disperse:2+2?hedge=on&at=a%2Bb&at=b&at=c&at=d%2525": {Data: 2, Parity: 2, At: []string{"a+b", "b", "c", "d%25"}},
	} {
		got, err := ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		again, err := ParseURL(got.String())
		if diff := cmp.Diff(want, again); err != nil || diff != "" {
			t.Errorf("%s: read again %v (-want +got):\n%s", got, err, diff)
		}
	}
}

func TestRefusedURLs(t *testing.T) {
	for text, want := range map[string]string{
		"file:///a": "scheme", "disperse:": "4+2", "disperse:4": "4+2", "disperse:a+b?at=x": "4+2", "disperse:04+2?at=x": "4+2",
		"disperse:+4+2": "4+2", "disperse:1+1?at=a&at=b": "at least 2", "disperse:2+0?at=a&at=b": "no parity", "disperse:40+2": "more than 32",
		"disperse:9999999999999999999+1": "4+2",
		"disperse:2+1?at=a&at=b":         "needs 3 storages and 2", "disperse:2+1?at=a&at=b&at=a": "twice", "disperse:2+1?at=a&at=b&at=": "empty",
		"disperse:2+1?at=a&at=b&at=disperse:2+1": "dispersed itself",
		"disperse:2+1?quorum=1&at=a&at=b&at=c":   "from 2 to 3", "disperse:2+1?quorum=4&at=a&at=b&at=c": "from 2 to 3",
		"disperse:2+1?quorum=x&at=a&at=b&at=c": "not a number", "disperse:2+1?quorum=2&quorum=2&at=a": "given 2 times",
		"disperse:2+1?hedge=maybe&at=a&at=b&at=c": "neither on nor off", "disperse:2+1?quota=2&at=a": `unknown parameter "quota"`,
		"disperse:2+1?at=a&at=b&at=c#d": "after #", "disperse:2+1?at=%zz": "list of parameters",
	} {
		_, err := ParseURL(text)
		var e *fault.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || e.Hint == "" {
			t.Errorf("ParseURL(%q) = %v, want %q and a hint", text, err, want)
		}
	}
	// What is refused may hold a secret, and is not shown.
	if _, err := ParseURL("disperse:2+1?at=s3://key:hunter2@x"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a refused URL is shown: %v", err)
	}
}

func TestDefaultQuorum(t *testing.T) {
	for _, c := range []struct{ k, m, want int }{{2, 1, 3}, {4, 2, 5}, {10, 2, 11}, {10, 4, 12}, {2, 2, 3}, {2, 5, 6}} {
		if got := DefaultQuorum(c.k, c.m); got != c.want || got < minQuorum(c.k, c.m) || 2*got <= c.k+c.m {
			t.Errorf("DefaultQuorum(%d, %d) = %d, want %d", c.k, c.m, got, c.want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for what, c := range map[string]Config{
		"nothing": {}, "too few": {Data: 2, Parity: 1, Backends: make([]backend.Backend, 2)},
		"a quorum that two disjoint halves have": {Data: 2, Parity: 2, Quorum: 2, Backends: make([]backend.Backend, 4)},
	} {
		if _, err := Open(t.Context(), c); err == nil {
			t.Errorf("%s is opened", what)
		}
	}
}

// FuzzURL reads what may stand in a configuration.
func FuzzURL(f *testing.F) {
	f.Add("disperse:4+2?quorum=5&hedge=off&at=a&at=b&at=c&at=d&at=e&at=f")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseURL(text)
		if err != nil {
			return
		}
		again, err := ParseURL(l.String())
		if diff := cmp.Diff(l, again); err != nil || diff != "" {
			t.Fatalf("%q was read as %s, and that: %v\n%s", text, l, err, diff)
		}
	})
}
