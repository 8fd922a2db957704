package storagetest

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
)

// secret is what no error may repeat: a URL of a test has it where a secret would be.
const secret = "hunter2"

// URLs are the URLs of a kind of storage, and what C, its configuration, they stand for.
type URLs[C any] struct {
	Parse func(*url.URL) (C, error)
	// Good are URLs that are taken, Bad ones that are refused with a part of what the
	// error says, and Near ones that are refused with a part of its hint.
	Good      map[string]C
	Bad, Near map[string]string
}

func (u URLs[C]) parse(t *testing.T, text string) (C, error) {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Parse(parsed)
}

// Run checks that each URL is read or refused as it should be, and that no error is
// without a hint or repeats a secret.
func (u URLs[C]) Run(t *testing.T) {
	for text, want := range u.Good {
		got, err := u.parse(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	for text, want := range u.Bad {
		_, err := u.parse(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.70s: %v, want %q", text, err, want)
			continue
		}
		hints := strings.Join(fault.Hints(err), "\n")
		if hints == "" {
			t.Errorf("%.70s: %v has no hint", text, err)
		}
		if strings.Contains(err.Error()+hints, secret) {
			t.Errorf("%.70s: the error repeats the secret: %v, hints %q", text, err, hints)
		}
	}
	for text, want := range u.Near {
		_, err := u.parse(t, text)
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, want) {
			t.Errorf("%s: hints %q, want %q", text, hints, want)
		}
	}
}

// Fuzz checks that what is accepted stays below its prefix and holds no secret, and that
// what is refused has a hint. prefix and secrets return those of a configuration.
func (u URLs[C]) Fuzz(f *testing.F, prefix, secrets func(C) string) {
	for text := range u.Good {
		f.Add(text)
	}
	for text := range u.Bad {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := url.Parse(text)
		if err != nil {
			return
		}
		c, err := u.Parse(parsed)
		if err != nil {
			if len(fault.Hints(err)) == 0 {
				t.Fatalf("%q: %v has no hint", text, err)
			}
			return
		}
		if p := prefix(c); strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.Contains("/"+p+"/", "/../") {
			t.Fatalf("%q: prefix %q", text, p)
		}
		if parsed.User != nil || secrets(c) != "" {
			t.Fatalf("%q holds a secret", text)
		}
	})
}
