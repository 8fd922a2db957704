package azure_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mahavishnu/storage/azure"
	"mahavishnu/storage/backend"
	"mahavishnu/storage/storagetest/servers"
	"mahavishnu/storage/storagetest/wire"
)

// packSize is as large as the objects that make up nearly all of a repository.
const packSize = 16 << 20

func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

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
	var seen tap
	c := configure(s, "p")
	c.Wrap = seen.wrap
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
	asked, headers := seen.take()
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
		seen.take()
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if asked, _ := seen.take(); !slices.Equal(asked, []string{c.want}) {
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
		seen := tap{answer: func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return sayBody(r, http.StatusCreated, ""), nil
		}}
		config := unserved(&seen)
		c.change(&config)
		be := open(t, config)
		if err := be.Put(t.Context(), "a", c.data, backend.PutOptions{Cold: c.cold}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, headers := seen.take()
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
		for _, h := range func() []http.Header { _, h := seen.take(); return h }() {
			if h.Get("X-Ms-Encryption-Key-Sha256") == "" {
				t.Errorf("a request without the key: %v", h)
			}
		}
		if strings.Contains(be.Location(), config.CustomerKey) {
			t.Errorf("Location %s holds the key", be.Location())
		}
	}
}

// Bodies are sent from where the caller has them: 64 packs at a time take hardly
// more memory than the packs themselves.
func TestPutsMakeNoCopies(t *testing.T) {
	seen := tap{answer: func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusCreated, ""), nil
	}}
	be := open(t, unserved(&seen))
	data := noise(packSize)
	put(t, be, "warm", "up", backend.PutOptions{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const puts = 16
	for i := range puts {
		if err := be.Put(t.Context(), fmt.Sprintf("packs/%d", i), data, backend.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if perPut := (after.TotalAlloc - before.TotalAlloc) / puts; perPut > 512<<10 {
		t.Errorf("a put of %d bytes allocates %d", packSize, perPut)
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

// A body that broke goes on where it was, and only of the very same blob.
func testResume(t *testing.T, s *servers.AzureServer) {
	be, proxy := through(t, s)
	data := noise(6 << 20)
	if err := be.Put(t.Context(), "a", data, backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	half := func() (io.ReadCloser, int64) {
		t.Helper()
		proxy.On(wire.Get).Reset()
		r, err := be.Get(t.Context(), "a", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		wantTemporary(t, "a body that broke", err)
		if !bytes.Equal(got, data[:len(got)]) || len(got) == 0 {
			t.Fatalf("%d bytes before the break", len(got))
		}
		return r, int64(len(got))
	}
	r, done := half()
	rest, err := r.(backend.Resumer).Resume(t.Context(), done)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(rest); err != nil || !bytes.Equal(got, data[done:]) {
		t.Errorf("the rest: %d bytes, %v", len(got), err)
	}
	r.Close()
	rest.Close()

	// A changed bit in the rest is found, since the checksum goes on too.
	r, done = half()
	proxy.On(wire.Get).Flip()
	rest, err = r.(backend.Resumer).Resume(t.Context(), done)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(rest); !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("a changed rest: %v, want ErrDamaged", err)
	}
	r.Close()
	rest.Close()

	for what, change := range map[string]func() error{
		"replaced": func() error { return be.Put(t.Context(), "a", noise(7<<20), backend.PutOptions{}) },
		"deleted":  func() error { return be.Delete(t.Context(), "a") },
	} {
		if err := be.Put(t.Context(), "a", data, backend.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		r, done = half()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		_, err := r.(backend.Resumer).Resume(t.Context(), done)
		var temporary *backend.TemporaryError
		if err == nil || errors.As(err, &temporary) || errors.Is(err, backend.ErrExists) || errors.Is(err, backend.ErrNotFound) {
			t.Errorf("the rest of a blob that was %s: %v", what, err)
		}
		r.Close()
	}
}

// Servers that do not do as they are asked are found out.
func TestAnswersThatDoNotFit(t *testing.T) {
	var seen tap
	be := open(t, unserved(&seen))
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
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) { return answer(r), nil }
		if got, err := read(t.Context(), be, "a", 2, 4); err == nil {
			t.Errorf("%s: %q is taken", name, got)
		}
	}
	seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, 206, "2345", "Content-Length", "4", "Content-Range", "bytes 2-5/6"), nil
	}
	if got, err := read(t.Context(), be, "a", 2, 5); !errors.Is(err, backend.ErrShort) {
		t.Errorf("a range past the end: %q, %v; want ErrShort", got, err)
	}
	seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, http.StatusCreated, "", "Content-Md5", base64.StdEncoding.EncodeToString(make([]byte, 16))), nil
	}
	if err := be.Put(t.Context(), "b", []byte("x"), backend.PutOptions{}); !errors.Is(err, backend.ErrDamaged) {
		t.Errorf("a put that the server stored with another checksum: %v", err)
	}
}

// The end of a context ends what is under way, with its own cause.
func testContextEndsAReadInTheMiddle(t *testing.T, s *servers.AzureServer) {
	be, proxy := through(t, s)
	if err := be.Put(t.Context(), "a", noise(1<<20), backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	proxy.On(wire.Get).StallMidway()
	why := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := be.Get(ctx, "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel(why)
	if _, err := io.ReadAll(r); !errors.Is(err, why) {
		t.Errorf("reading after the context ended: %v", err)
	}
}
