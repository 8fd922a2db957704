package remote

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"mahavishnu/fault"
	"mahavishnu/storage/backend"
)

func TestTemporary(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("no idea"), false},
		{io.ErrUnexpectedEOF, true},
		{&url.Error{Op: "Put", Err: io.EOF}, true},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, false},
		{os.ErrDeadlineExceeded, true},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, false},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, true},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, false},
		{x509.UnknownAuthorityError{}, false},
		{context.Canceled, false},
		{fmt.Errorf("put: %w", &backend.TemporaryError{Err: errors.New("503")}), true},
		{fault.New("get", "a", &backend.TemporaryError{Err: errors.New("503")}, ""), true},
		{fault.New("get", "a", backend.ErrNotFound, ""), false},
		{errors.New("http: server closed idle connection"), true},
	} {
		if got := Temporary(c.err); got != c.want {
			t.Errorf("Temporary(%v) = %v", c.err, got)
		}
	}
}

// Failures as the network really makes them.
func TestTemporaryFailuresOfTheNetwork(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write(make([]byte, 50))
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if r.URL.Path == "/reset" {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
	}))
	c := newClient(t, Options{Endpoint: s.URL})
	for _, path := range []string{"/reset", "/gone", "/short"} {
		if _, err := get(t.Context(), c, s.URL+path); !Temporary(err) || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v does not count as temporary, or passes for an end", path, err)
		}
	}
	s.Close()
	if _, err := get(t.Context(), c, s.URL); !Temporary(err) {
		t.Errorf("a refused connection: %v does not count as temporary", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := get(ctx, c, s.URL); Temporary(err) {
		t.Errorf("an ended context: %v counts as temporary", err)
	}
}

func TestTemporaryStatus(t *testing.T) {
	for code, want := range map[int]bool{
		200: false, 304: false, 400: false, 403: false, 404: false, 408: true, 409: false, 412: false, 416: false,
		429: true, 500: true, 501: false, 502: true, 503: true, 504: true, 507: false,
	} {
		if TemporaryStatus(code) != want {
			t.Errorf("TemporaryStatus(%d) = %v", code, !want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "", 0},
		{"Retry-After", "7", 7 * time.Second},
		{"Retry-After", " 0 ", 0},
		{"Retry-After", "-3", 0},
		{"Retry-After", "soon", 0},
		{"Retry-After", "99999999999", time.Hour},
		{"Retry-After", "Fri, 20 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{"Retry-After", "Fri, 20 Nov 2026 11:00:00 GMT", 0},
		{"Retry-After", "Sat, 20 Nov 2027 11:00:00 GMT", time.Hour},
		{"x-ms-retry-after-ms", "250", 250 * time.Millisecond},
		{"retry-after-ms", "1500", 1500 * time.Millisecond},
	} {
		h := http.Header{}
		h.Set(c.name, c.value)
		if got := RetryAfter(h, now); got != c.want {
			t.Errorf("%s: %s = %v, want %v", c.name, c.value, got, c.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("7", "")
	f.Add("Fri, 20 Nov 2026 12:00:30 GMT", "100")
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, after, ms string) {
		h := http.Header{"Retry-After": {after}, "X-Ms-Retry-After-Ms": {ms}}
		if got := RetryAfter(h, now); got < 0 || got > time.Hour {
			t.Errorf("RetryAfter(%q, %q) = %v", after, ms, got)
		}
	})
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.": true, "a.localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "example.com": false, "127.0.0.1.example.com": false, "10.0.0.1": false, "0.0.0.0": false, "notlocalhost": false,
	} {
		if Loopback(host) != want {
			t.Errorf("Loopback(%q) = %v", host, !want)
		}
	}
}
