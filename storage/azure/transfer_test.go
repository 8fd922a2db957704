package azure_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mahavishnu/storage/azure"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// through returns a backend behind a proxy that breaks things.
func through(t testing.TB, s *servers.AzureServer) (*azure.Backend, *wire.Proxy) {
	t.Helper()
	proxy := wire.New(t, wire.Azure, s.Process.Endpoint())
	c := configure(s, "p")
	c.Endpoint = proxy.URL()
	return open(t, c), proxy
}

// Objects cost one request each, and to know that they are durable costs none.
func testRequests(t *testing.T, s *servers.AzureServer) {
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
	asked, headers := taken(seen)
	if len(asked) != len(names) {
		t.Errorf("%d objects put and synced with %d requests: %q", len(names), len(asked), asked)
	}
	for i, h := range headers {
		if h.Get("Content-Md5") == "" || h.Get("Content-Length") == "" && h.Get("X-Ms-Blob-Type") != "BlockBlob" {
			t.Errorf("put %d carries no checksum: %v", i, h)
		}
	}
	root := " /" + s.Account + "/" + s.Container + "/p/"
	for what, c := range map[string]struct {
		do   func() error
		want string
	}{
		"sync by another instance": {func() error { return be.Sync(t.Context(), names[:1]) }, "HEAD" + root + "packs/00/x"},
		"whole object":             {func() error { _, err := read(t.Context(), be, names[1], 0, -1); return err }, "GET" + root + "packs/01/x"},
		"range":                    {func() error { _, err := read(t.Context(), be, names[1], 1, 2); return err }, "GET" + root + "packs/01/x"},
		"stat":                     {func() error { _, err := be.Stat(t.Context(), names[1]); return err }, "HEAD" + root + "packs/01/x"},
		"delete":                   {func() error { return be.Delete(t.Context(), names[2]) }, "DELETE" + root + "packs/02/x"},
		"list": {func() error {
			return be.List(t.Context(), "packs/", func(backend.Info) error { return nil })
		}, "GET /" + s.Account + "/" + s.Container + " comp=list"},
	} {
		seen.Take()
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if asked := seen.Take().Asked; !slices.Equal(asked, []string{c.want}) {
			t.Errorf("%s: %q, want %q", what, asked, c.want)
		}
	}
}

// What is asked of the service beside storing bytes goes along with the put.
func TestHowObjectsAreStored(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	pack, small := noise(128<<10), []byte("small")
	for name, c := range map[string]struct {
		change func(*azure.Config)
		cold   bool
		data   []byte
		want   map[string]string
	}{
		"plain":      {func(*azure.Config) {}, true, pack, map[string]string{"X-Ms-Access-Tier": "", "X-Ms-Encryption-Scope": "", "X-Ms-Encryption-Key": "", "If-None-Match": ""}},
		"tier":       {func(c *azure.Config) { c.Tier = "cool" }, false, pack, map[string]string{"X-Ms-Access-Tier": "Cool"}},
		"cold":       {func(c *azure.Config) { c.Tier, c.ColdTier = "Hot", "archive" }, true, pack, map[string]string{"X-Ms-Access-Tier": "Archive"}},
		"not cold":   {func(c *azure.Config) { c.Tier, c.ColdTier = "Hot", "archive" }, false, pack, map[string]string{"X-Ms-Access-Tier": "Hot"}},
		"cold small": {func(c *azure.Config) { c.ColdTier = "archive" }, true, small, map[string]string{"X-Ms-Access-Tier": ""}},
		"scope":      {func(c *azure.Config) { c.EncryptionScope = "dr-1" }, false, small, map[string]string{"X-Ms-Encryption-Scope": "dr-1"}},
		"key": {func(c *azure.Config) { c.CustomerKey = base64.StdEncoding.EncodeToString(key) }, false, small, map[string]string{
			"X-Ms-Encryption-Key": base64.StdEncoding.EncodeToString(key), "X-Ms-Encryption-Algorithm": "AES256",
		}},
	} {
		seen := tapped(func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return sayBody(r, http.StatusCreated, ""), nil
		})
		config := unserved(seen)
		c.change(&config)
		be := open(t, config)
		if err := be.Put(t.Context(), "a", c.data, backend.PutOptions{Cold: c.cold}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		headers := seen.Take().Headers
		for header, want := range c.want {
			if got := headers[0].Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		if config.CustomerKey == "" {
			continue
		}
		// The key goes along with whatever looks at the blob.
		_, _ = be.Stat(t.Context(), "a")
		_, _ = read(t.Context(), be, "a", 0, -1)
		for _, h := range func() []http.Header { h := seen.Take().Headers; return h }() {
			if h.Get("X-Ms-Encryption-Key-Sha256") == "" {
				t.Errorf("a request without the key: %v", h)
			}
		}
		if strings.Contains(be.Location(), config.CustomerKey) {
			t.Errorf("Location %s holds the key", be.Location())
		}
	}
}

// A bit that changes in a range on the way down is found as well, up to 4 MiB.
func testRangesThatChangeOnTheWay(t *testing.T, s *servers.AzureServer) {
	be, proxy := through(t, s)
	data := noise(6 << 20)
	if err := be.Put(t.Context(), "a", data, backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, length := range []int64{1 << 20, 4 << 20} {
		proxy.On(wire.Get).Flip()
		_, err := read(t.Context(), be, "a", 1000, length)
		if !errors.Is(err, backend.ErrDamaged) {
			t.Errorf("a changed range of %d bytes: %v, want ErrDamaged", length, err)
		}
		wantTemporary(t, "a changed range", err)
		if got, err := read(t.Context(), be, "a", 1000, length); err != nil || !bytes.Equal(got, data[1000:1000+length]) {
			t.Errorf("then: %d bytes, %v", len(got), err)
		}
	}
}

// Servers that do not do as they are asked are found out.
func TestAnswersThatDoNotFit(t *testing.T) {
	seen := tapped(nil)
	be := open(t, unserved(seen))
	for name, answer := range map[string]func(r *http.Request) *http.Response{
		"whole for a part": func(r *http.Request) *http.Response { return sayBody(r, 200, "0123456789", "Content-Length", "10") },
		"another part": func(r *http.Request) *http.Response {
			return sayBody(r, 206, "3456", "Content-Length", "4", "Content-Range", "bytes 3-6/10")
		},
		"a longer part": func(r *http.Request) *http.Response {
			return sayBody(r, 206, "23456", "Content-Length", "5", "Content-Range", "bytes 2-6/10")
		},
		"another length": func(r *http.Request) *http.Response {
			return sayBody(r, 206, "2345", "Content-Length", "4", "Content-Range", "bytes 2-6/10")
		},
		"nonsense": func(r *http.Request) *http.Response {
			return sayBody(r, 206, "2345", "Content-Length", "4", "Content-Range", "bytes x-y/z")
		},
		"no length": func(r *http.Request) *http.Response { return sayBody(r, 200, "2345") },
	} {
		seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) { return answer(r), nil }
		if got, err := read(t.Context(), be, "a", 2, 4); err == nil {
			t.Errorf("%s: %q is taken", name, got)
		}
	}
	seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, 206, "2345", "Content-Length", "4", "Content-Range", "bytes 2-5/6"), nil
	}
	if got, err := read(t.Context(), be, "a", 2, 5); !errors.Is(err, backend.ErrShort) {
		t.Errorf("a range past the end: %q, %v; want ErrShort", got, err)
	}
	seen.Answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusCreated, "", "Content-Md5", base64.StdEncoding.EncodeToString(make([]byte, 16))), nil
	}
	if err := be.Put(t.Context(), "b", []byte("x"), backend.PutOptions{}); !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("a put that the server stored with another checksum: %v", err)
	}
}

func TestPutsMakeNoCopies(t *testing.T) {
	seen := tapped(func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusCreated, ""), nil
	})
	storagetest.RunPutsMakeNoCopies(t, open(t, unserved(seen)), 1)
}

func testBrokenTransfers(t *testing.T, s *servers.AzureServer) {
	be, proxy := through(t, s)
	t.Run("Resume", func(t *testing.T) { storagetest.RunResume(t, be, proxy) })
	t.Run("ContextEnds", func(t *testing.T) { storagetest.RunContextEnds(t, be, proxy) })
}
