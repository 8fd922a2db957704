package gcs_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"mahavishnu/storage/backend"
	"mahavishnu/storage/gcs"
	"mahavishnu/storage/storagetest/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configure returns what opens a prefix of the server's bucket.
func configure(s *servers.GCSServer, prefix string) gcs.Config {
	return gcs.Config{Bucket: s.Bucket, Prefix: prefix, Endpoint: s.Endpoint()}
}

// unserved returns what opens a place whose requests are all answered by the test.
func unserved(seen *tap) gcs.Config {
	return gcs.Config{Bucket: "backups", Prefix: "p", Endpoint: "http://127.0.0.1:1", Wrap: seen.wrap}
}

func open(t testing.TB, c gcs.Config) *gcs.Backend {
	t.Helper()
	be, err := gcs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := be.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return be
}

// alone takes away what the machine's own environment would say of credentials.
func alone(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, "GOOGLE_") || strings.HasPrefix(name, "GCE_") || strings.HasPrefix(name, "STORAGE_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil { // Setenv brings it back
				t.Fatal(err)
			}
		}
	}
	t.Setenv("HOME", dir)
	t.Setenv("APPDATA", dir)
	t.Setenv("CLOUDSDK_CONFIG", dir)
}

func put(t testing.TB, be *gcs.Backend, name, data string, o backend.PutOptions) {
	t.Helper()
	if err := be.Put(t.Context(), name, []byte(data), o); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func read(ctx context.Context, be *gcs.Backend, name string, offset, length int64) ([]byte, error) {
	r, err := be.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// wantText checks that the whole object is what it should be.
func wantText(t testing.TB, be *gcs.Backend, name, want string) {
	t.Helper()
	got, err := read(t.Context(), be, name, 0, -1)
	if err != nil || string(got) != want {
		t.Errorf("%s = %q, %v; want %q", name, got, err, want)
	}
}

// wantTemporary checks that an error may be tried again.
func wantTemporary(t testing.TB, what string, err error) {
	t.Helper()
	var temporary *backend.TemporaryError
	if !errors.As(err, &temporary) {
		t.Errorf("%s: %v is no TemporaryError", what, err)
	}
}

// tap sees the requests of a backend, and may answer them in the server's place.
type tap struct {
	mu       sync.Mutex
	requests []string // method, path and what is asked for
	headers  []http.Header
	bodies   []string // the first 1,000 bytes
	answer   func(next http.RoundTripper, r *http.Request) (*http.Response, error)
}

func (p *tap) wrap(next http.RoundTripper) http.RoundTripper {
	return trip(func(r *http.Request) (*http.Response, error) {
		q := r.URL.Query()
		asked := []string{r.Method, r.URL.Path}
		for _, name := range []string{"alt", "generation", "ifGenerationMatch", "ifMetagenerationMatch", "versions", "kmsKeyName"} {
			if v := q.Get(name); v != "" && v != "false" && v != "json" {
				asked = append(asked, name+"="+v)
			}
		}
		body := ""
		if r.Body != nil && r.Method != http.MethodGet {
			start := make([]byte, 1000)
			n, _ := io.ReadFull(r.Body, start)
			body = string(start[:n])
			r = r.Clone(r.Context())
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader(body), r.Body), r.Body}
		}
		p.mu.Lock()
		p.requests = append(p.requests, strings.Join(asked, " "))
		p.headers = append(p.headers, r.Header.Clone())
		p.bodies = append(p.bodies, body)
		p.mu.Unlock()
		if p.answer != nil {
			return p.answer(next, r)
		}
		return next.RoundTrip(r)
	})
}

// take returns the requests since it was called last.
func (p *tap) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	requests := p.requests
	p.requests, p.headers, p.bodies = nil, nil, nil
	return requests
}

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// say is a refusal of the server's kind.
func say(r *http.Request, status int, reason, message string, header ...string) *http.Response {
	body, err := json.Marshal(map[string]any{"error": map[string]any{
		"code": status, "message": message, "errors": []map[string]string{{"domain": "global", "reason": reason, "message": message}},
	}})
	if err != nil {
		panic(err) // of strings and a number alone
	}
	return sayBody(r, status, string(body), header...)
}

// sayBody is an answer with a body of one's own.
func sayBody(r *http.Request, status int, body string, header ...string) *http.Response {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	h := http.Header{"Content-Type": {"application/json; charset=UTF-8"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}
