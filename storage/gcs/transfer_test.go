package gcs_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/gcs"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// through returns a backend behind a proxy that breaks things.
func through(t testing.TB, s *servers.GCSServer) (*gcs.Backend, *wire.Proxy) {
	t.Helper()
	proxy := wire.New(t, wire.GCS, s.Endpoint())
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	return open(t, c), proxy
}

// Objects cost one request each, and to know that they are durable costs none.
func TestRequests(t *testing.T) {
	s := servers.GCS(t)
	seen := tapped(nil)
	c := configure(s, "p")
	c.Wrap = seen.Wrap
	be := open(t, c)
	var names []string
	for i := range 8 {
		name := fmt.Sprintf("packs/%02x/x", i)
		names = append(names, name)
		put(t, be, name, "data", backend.PutOptions{Sync: i%2 == 0, IfAbsent: i%3 == 0})
	}
	if err := be.Sync(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	for i, body := range seen.Seen().Bodies {
		if !strings.Contains(body, `"crc32c":"`) {
			t.Errorf("put %d carries no checksum: %s", i, body)
		}
	}
	if asked := seen.Take().Asked; len(asked) != len(names) {
		t.Errorf("%d objects put and synced with %d requests: %q", len(names), len(asked), asked)
	}
	const root = " /storage/v1/b/backups/o"
	for what, c := range map[string]struct {
		do   func() error
		want string
	}{
		"sync by another instance": {func() error { return be.Sync(t.Context(), names[:1]) }, "GET" + root + "/p/packs/00/x"},
		"whole object":             {func() error { _, err := read(t.Context(), be, names[1], 0, -1); return err }, "GET" + root + "/p/packs/01/x alt=media"},
		"range":                    {func() error { _, err := read(t.Context(), be, names[1], 1, 2); return err }, "GET" + root + "/p/packs/01/x alt=media"},
		"stat":                     {func() error { _, err := be.Stat(t.Context(), names[1]); return err }, "GET" + root + "/p/packs/01/x"},
		"list":                     {func() error { return be.List(t.Context(), "packs/", func(backend.Info) error { return nil }) }, "GET" + root},
	} {
		seen.Take()
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if asked := seen.Take().Asked; !slices.Equal(asked, []string{c.want}) {
			t.Errorf("%s: %q, want %q", what, asked, c.want)
		}
	}
	// The first delete asks once whether the bucket keeps versions.
	for i, want := range []int{2, 1, 1} {
		if err := be.Delete(t.Context(), names[i]); err != nil {
			t.Fatal(err)
		}
		if asked := seen.Take().Asked; len(asked) != want {
			t.Errorf("delete %d: %q, want %d requests", i, asked, want)
		}
	}
}

// What is asked of the service beside storing bytes goes along with the put.
func TestHowObjectsAreStored(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	for name, c := range map[string]struct {
		change func(*gcs.Config)
		cold   bool
		want   []string // in the object's head
		not    string
	}{
		"plain":    {func(*gcs.Config) {}, true, nil, "storageClass"},
		"class":    {func(c *gcs.Config) { c.Class = "nearline" }, false, []string{`"storageClass":"NEARLINE"`}, "retention"},
		"cold":     {func(c *gcs.Config) { c.Class, c.ColdClass = "STANDARD", "archive" }, true, []string{`"storageClass":"ARCHIVE"`}, "kmsKeyName"},
		"not cold": {func(c *gcs.Config) { c.Class, c.ColdClass = "STANDARD", "archive" }, false, []string{`"storageClass":"STANDARD"`}, "ARCHIVE"},
		"kms":      {func(c *gcs.Config) { c.KMSKey = kmsKey }, false, []string{kmsKey}, "storageClass"},
		"key":      {func(c *gcs.Config) { c.CustomerKey = base64.StdEncoding.EncodeToString(key) }, false, nil, "customerEncryption"},
	} {
		seen := tapped(nil)
		seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return sayBody(r, http.StatusOK, `{"size": "5"}`), nil
		}
		config := unserved(seen)
		c.change(&config)
		be := open(t, config)
		if err := be.Put(t.Context(), "a", []byte("small"), backend.PutOptions{Cold: c.cold}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(seen.Seen().Bodies[0]+seen.Seen().Asked[0], want) {
				t.Errorf("%s: %q is not in\n%s\n%s", name, want, seen.Seen().Asked[0], seen.Seen().Bodies[0])
			}
		}
		if strings.Contains(seen.Seen().Bodies[0], c.not) {
			t.Errorf("%s: %q is in %s", name, c.not, seen.Seen().Bodies[0])
		}
		if config.CustomerKey == "" {
			continue
		}
		// The key goes along with whatever looks at the object.
		_, _ = be.Stat(t.Context(), "a")
		_, _ = read(t.Context(), be, "a", 0, -1)
		for i, h := range seen.Seen().Headers {
			if h.Get("X-Goog-Encryption-Key") != config.CustomerKey || h.Get("X-Goog-Encryption-Algorithm") != "AES256" {
				t.Errorf("%s without the key: %v", seen.Seen().Asked[i], h)
			}
		}
		if strings.Contains(be.Location(), config.CustomerKey) {
			t.Errorf("Location %s holds the key", be.Location())
		}
	}
}

// Servers that do not do as they are asked are found out.
func TestAnswersThatDoNotFit(t *testing.T) {
	seen := tapped(nil)
	be := open(t, unserved(seen))
	for name, answer := range map[string]func(r *http.Request) *http.Response{
		"whole for a part": func(r *http.Request) *http.Response { return sayBody(r, 200, "0123456789") },
		"another part":     func(r *http.Request) *http.Response { return sayBody(r, 206, "3456", "Content-Range", "bytes 3-6/10") },
		"a longer part":    func(r *http.Request) *http.Response { return sayBody(r, 206, "23456", "Content-Range", "bytes 2-6/10") },
		"nonsense":         func(r *http.Request) *http.Response { return sayBody(r, 206, "2345", "Content-Range", "bytes x-y/z") },
		"no range":         func(r *http.Request) *http.Response { return sayBody(r, 206, "2345") },
	} {
		seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) { return answer(r), nil }
		if got, err := read(t.Context(), be, "a", 2, 4); err == nil {
			t.Errorf("%s: %q is taken", name, got)
		}
	}
	seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, 206, "2345", "Content-Range", "bytes 2-5/6"), nil
	}
	if got, err := read(t.Context(), be, "a", 2, 5); !errors.Is(err, backend.ErrShort) {
		t.Errorf("a range past the end: %q, %v; want ErrShort", got, err)
	}
	for name, answer := range map[string]string{"checksum": `{"size": "1", "crc32c": "AAAAAQ=="}`, "length": `{"size": "2"}`} {
		seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return sayBody(r, http.StatusOK, answer), nil
		}
		if err := be.Put(t.Context(), "b", []byte("x"), backend.PutOptions{}); !errors.Is(err, backend.ErrDamaged) {
			t.Errorf("a put that the server stored with another %s: %v", name, err)
		}
	}
}

func TestPutsMakeNoCopies(t *testing.T) {
	seen := tapped(func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusOK, fmt.Sprintf(`{"size": "%d"}`, storagetest.PackSize)), nil
	})
	storagetest.RunPutsMakeNoCopies(t, open(t, unserved(seen)), 1)
}

func TestBrokenTransfers(t *testing.T) {
	be, proxy := through(t, servers.GCS(t, servers.InMemory()))
	t.Run("Resume", func(t *testing.T) { storagetest.RunResume(t, be, proxy) })
	t.Run("ContextEnds", func(t *testing.T) { storagetest.RunContextEnds(t, be, proxy) })
}
