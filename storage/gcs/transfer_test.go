package gcs_test

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

	"mahavishnu/storage/backend"
	"mahavishnu/storage/gcs"
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
	for i, body := range seen.bodies {
		if !strings.Contains(body, `"crc32c":"`) {
			t.Errorf("put %d carries no checksum: %s", i, body)
		}
	}
	if asked := seen.take(); len(asked) != len(names) {
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
		seen.take()
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if asked := seen.take(); !slices.Equal(asked, []string{c.want}) {
			t.Errorf("%s: %q, want %q", what, asked, c.want)
		}
	}
	// The first delete asks once whether the bucket keeps versions.
	for i, want := range []int{2, 1, 1} {
		if err := be.Delete(t.Context(), names[i]); err != nil {
			t.Fatal(err)
		}
		if asked := seen.take(); len(asked) != want {
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
		seen := tap{}
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return sayBody(r, http.StatusOK, `{"size": "5"}`), nil
		}
		config := unserved(&seen)
		c.change(&config)
		be := open(t, config)
		if err := be.Put(t.Context(), "a", []byte("small"), backend.PutOptions{Cold: c.cold}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(seen.bodies[0]+seen.requests[0], want) {
				t.Errorf("%s: %q is not in\n%s\n%s", name, want, seen.requests[0], seen.bodies[0])
			}
		}
		if strings.Contains(seen.bodies[0], c.not) {
			t.Errorf("%s: %q is in %s", name, c.not, seen.bodies[0])
		}
		if config.CustomerKey == "" {
			continue
		}
		// The key goes along with whatever looks at the object.
		_, _ = be.Stat(t.Context(), "a")
		_, _ = read(t.Context(), be, "a", 0, -1)
		for i, h := range seen.headers {
			if h.Get("X-Goog-Encryption-Key") != config.CustomerKey || h.Get("X-Goog-Encryption-Algorithm") != "AES256" {
				t.Errorf("%s without the key: %v", seen.requests[i], h)
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
		return sayBody(r, http.StatusOK, fmt.Sprintf(`{"size": "%d"}`, packSize)), nil
	}}
	be := open(t, unserved(&seen))
	data := noise(packSize)
	var before, after runtime.MemStats
	if err := be.Put(t.Context(), "warm", data, backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
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

// A body that broke goes on where it was, and only of the very same object.
func TestResume(t *testing.T) {
	s := servers.GCS(t, servers.InMemory())
	be, proxy := through(t, s)
	data := noise(2 << 20)
	if err := be.Put(t.Context(), "a", data, backend.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	half := func() (io.ReadCloser, int64) {
		t.Helper()
		proxy.On(wire.Get).Reset()
		before := proxy.Requests()
		r, err := be.Get(t.Context(), "a", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		wantTemporary(t, "a body that broke", err)
		if asked := proxy.Requests() - before; asked != 1 {
			t.Errorf("the SDK went on by itself: %d requests", asked)
		}
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
		"replaced": func() error { return be.Put(t.Context(), "a", noise(3<<20), backend.PutOptions{}) },
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
			t.Errorf("the rest of an object that was %s: %v", what, err)
		}
		r.Close()
	}
}

// Servers that do not do as they are asked are found out.
func TestAnswersThatDoNotFit(t *testing.T) {
	var seen tap
	be := open(t, unserved(&seen))
	for name, answer := range map[string]func(r *http.Request) *http.Response{
		"whole for a part": func(r *http.Request) *http.Response { return sayBody(r, 200, "0123456789") },
		"another part":     func(r *http.Request) *http.Response { return sayBody(r, 206, "3456", "Content-Range", "bytes 3-6/10") },
		"a longer part":    func(r *http.Request) *http.Response { return sayBody(r, 206, "23456", "Content-Range", "bytes 2-6/10") },
		"nonsense":         func(r *http.Request) *http.Response { return sayBody(r, 206, "2345", "Content-Range", "bytes x-y/z") },
		"no range":         func(r *http.Request) *http.Response { return sayBody(r, 206, "2345") },
	} {
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) { return answer(r), nil }
		if got, err := read(t.Context(), be, "a", 2, 4); err == nil {
			t.Errorf("%s: %q is taken", name, got)
		}
	}
	seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
		return sayBody(r, 206, "2345", "Content-Range", "bytes 2-5/6"), nil
	}
	if got, err := read(t.Context(), be, "a", 2, 5); !errors.Is(err, backend.ErrShort) {
		t.Errorf("a range past the end: %q, %v; want ErrShort", got, err)
	}
	for name, answer := range map[string]string{"checksum": `{"size": "1", "crc32c": "AAAAAQ=="}`, "length": `{"size": "2"}`} {
		seen.answer = func(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
			return sayBody(r, http.StatusOK, answer), nil
		}
		if err := be.Put(t.Context(), "b", []byte("x"), backend.PutOptions{}); !errors.Is(err, backend.ErrDamaged) {
			t.Errorf("a put that the server stored with another %s: %v", name, err)
		}
	}
}

// The end of a context ends what is under way, with its own cause.
func TestContextEndsAReadInTheMiddle(t *testing.T) {
	s := servers.GCS(t)
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
